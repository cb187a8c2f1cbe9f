from __future__ import annotations

import pytest

from exporter.release import fetch
from exporter.release.publish import publish
from tests.releasable import KEY, write_releasable


@pytest.fixture(scope="package")
def releasable(tmp_path_factory):
    """A bundle that may be released; not to be changed."""
    return write_releasable(tmp_path_factory.mktemp("releasable") / "cpu")


@pytest.fixture(scope="package")
def store(tmp_path_factory, releasable):
    """A store with toy 1.0.0 (stable), and 1.1.0 (candidate), of which one program is another; not to be changed."""
    folder = tmp_path_factory.mktemp("store")
    second = write_releasable(tmp_path_factory.mktemp("second") / "cpu", steps=4)
    publish([releasable], folder / "toy-1.0.0", KEY, "stable", "mit")
    publish([second], folder / "toy-1.1.0", KEY, "candidate", "mit")
    return folder


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(fetch, "FIRST_PAUSE", 0.0)
