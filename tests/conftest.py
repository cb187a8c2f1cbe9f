from __future__ import annotations

import shutil

import pytest
from hypothesis import settings

from tests.toy_bundle import write_toy_bundle

settings.register_profile("t3export", deadline=None, derandomize=True)
settings.load_profile("t3export")


@pytest.fixture(scope="session")
def toy_bundle(tmp_path_factory):
    """The folder of a small valid bundle; not to be changed."""
    return write_toy_bundle(tmp_path_factory.mktemp("toy") / "bundle")


@pytest.fixture
def judge_that_guesses(monkeypatch):
    """For tests whose judge is a random CLIP: a reference at chance fails no rung."""
    monkeypatch.setattr("validate.ladder.rungs.quality.GUESSED", 1.1)


@pytest.fixture
def own_bundle(toy_bundle, tmp_path):
    """A copy of it that a test may damage."""
    return shutil.copytree(toy_bundle, tmp_path / "bundle")
