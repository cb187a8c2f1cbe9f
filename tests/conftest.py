from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import settings

from exporter.files.cache import Cache
from tests.browser import chromium
from tests.toy_bundle import write_toy_bundle

settings.register_profile("t3export", deadline=None, derandomize=True)
settings.load_profile("t3export")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The faults first: their file takes longest, and begun last it would leave the other workers idle."""
    items.sort(key=lambda item: item.path.name != "test_faults.py")


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder that all workers of a run see."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def step_cache(shared):
    """For builds of tests that are not about the cache: what is traced and recorded of a model is so once in a run."""
    return Cache(shared / "steps")


@pytest.fixture(scope="session")
def toy_bundle(tmp_path_factory):
    """The folder of a small valid bundle; not to be changed."""
    return write_toy_bundle(tmp_path_factory.mktemp("toy") / "bundle")


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium; whoever asks is skipped where there is none."""
    with chromium() as found:
        yield found


@pytest.fixture
def judge_that_guesses(monkeypatch):
    """For tests whose judge is a random CLIP: a reference at chance fails no rung."""
    monkeypatch.setattr("validate.ladder.rungs.quality.GUESSED", 1.1)


@pytest.fixture
def own_bundle(toy_bundle, tmp_path):
    """A copy of it that a test may damage."""
    return shutil.copytree(toy_bundle, tmp_path / "bundle")
