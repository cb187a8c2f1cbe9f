from __future__ import annotations

import numpy as np
import pytest

from exporter.errors import EmptyMesh
from exporter.runtime.assets.label import Label
from exporter.runtime.bundle import Bundle
from exporter.runtime.generated import GeneratedObject
from t3export import ClipJudge


@pytest.fixture(scope="module")
def judge():
    return ClipJudge()


@pytest.fixture(scope="module")
def balls(toy_bundle):
    """A blue, a red and a green ball and an empty object, each said to be a red ball."""
    prompts = ["a blue ball", "a red ball", "a green ball", "nothing"]
    made = Bundle.open(toy_bundle).generate(prompts, grid=24)
    return [GeneratedObject(one.run, Label("a red ball", one.seed, ""), one.mesh) for one in made]


def test_the_best_is_the_one_that_shows_the_prompt(judge, balls):
    scores = judge.scores(balls)
    assert judge.best(balls) is balls[1] and scores.argmax() == 1
    assert scores[3] == -1 and (scores[:3] > -1).all() and scores.dtype == np.float64


def test_of_nothing_there_is_no_best(judge, balls):
    with pytest.raises(EmptyMesh, match="none of 1 objects"):
        judge.best(balls[3:])
    with pytest.raises(EmptyMesh, match="none of 0 objects"):
        judge.best([])


def test_another_clip_judges_too(clip_folder, balls):
    scores = ClipJudge(clip_folder).scores(balls)
    assert scores.shape == (4,) and (np.abs(scores[:3]) <= 1).all()
