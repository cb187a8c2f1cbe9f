"""Objects of a toy generator before a tiny judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exporter.runtime.assets.mesh import empty_mesh
from tests.validate.toy import ToyModel
from validate.judge.clip import Evaluator
from validate.judge.judge_errors import PromptsError
from validate.judge.prompts import Prompt
from validate.objects.judged import CaptionSet, measure_under_specified, retrieve_captions, score
from validate.objects.objects import MeshRenderer, Views, make_objects, object_seed, sample_objects

FULL = [
    Prompt(f"a {size} {color} {shape}", {"size": size, "color": color, "shape": shape})
    for size in ("small", "large")
    for color in ("red", "green", "blue")
    for shape in ("ball", "box")
]
VIEWS = Views(grid=16, azimuths_deg=(45.0, 225.0), size=24)


@pytest.fixture(scope="module")
def evaluator(clip_folder: Path) -> Evaluator:
    return Evaluator.load(clip_folder)


def test_objects_do_not_depend_on_batch_or_workers(evaluator: Evaluator) -> None:
    texts = [prompt.text for prompt in FULL[:3]]
    seen: list[tuple[str, int, int]] = []
    plain = make_objects(ToyModel(), texts, evaluator, seeds=2, views=VIEWS, progress=lambda *at: seen.append(at))
    other = make_objects(ToyModel(), texts, evaluator, seeds=2, views=VIEWS, batch=4, workers=1)
    assert np.allclose(plain.embeddings, other.embeddings, atol=1e-6)
    assert np.allclose(plain.sharpness, other.sharpness, rtol=1e-5)
    assert plain.prompt.tolist() == [0, 0, 1, 1, 2, 2]
    assert plain.seed.tolist() == [object_seed(index, seed) for index in range(3) for seed in range(2)]
    assert seen == [("objects", 6, 6)]


def test_every_object_has_its_own_noise() -> None:
    first, second = (run["latents"] for run in sample_objects(ToyModel(), ["a red ball"] * 2, [0, 1]))
    assert not np.array_equal(first, second)
    (alone,) = sample_objects(ToyModel(), ["a red ball"], [1])
    assert np.array_equal(second, alone["latents"])


def test_the_judge_sees_what_the_generator_makes(evaluator: Evaluator) -> None:
    """With the objects' own embeddings as captions, every object finds itself, and a colour swap breaks that."""
    exact = ToyModel(steps=1)
    objects = make_objects(exact, [prompt.text for prompt in FULL], evaluator, views=VIEWS)
    unit = objects.embeddings / np.linalg.norm(objects.embeddings, axis=1, keepdims=True)
    captions = CaptionSet(tuple(FULL), unit)
    assert retrieve_captions(objects, FULL, captions).rate == 1
    swapped = score(ToyModel(steps=1, swapped=True), FULL, captions, evaluator, views=VIEWS)[1]
    assert [prompt.text for prompt, hit in zip(FULL, swapped.hits, strict=True) if hit] == [
        prompt.text for prompt in FULL if prompt.attributes["color"] == "green"
    ]


def test_an_empty_object_is_a_white_picture_and_a_miss(evaluator: Evaluator) -> None:
    prompts = [Prompt("nothing red", {"color": "red"}), *FULL[:2]]
    captions = CaptionSet.embed(prompts, evaluator)
    objects, retrieval = score(ToyModel(steps=1), prompts, captions, evaluator, views=VIEWS)
    assert objects.empty.tolist() == [True, False, False]
    assert not retrieval.hits[0] and retrieval.ranks[0] == 3 and objects.sharpness[0] == 0
    with MeshRenderer(VIEWS) as renderer:
        assert (renderer.render([empty_mesh()])[0] == 255).all()


def test_under_specified_measures(evaluator: Evaluator) -> None:
    captions = CaptionSet.embed(FULL, evaluator)
    prompts = [Prompt("a red ball", {"color": "red", "shape": "ball"}), Prompt("a ball", {"shape": "ball"})]
    objects = make_objects(ToyModel(), [prompt.text for prompt in prompts], evaluator, seeds=3, views=VIEWS)
    measured = measure_under_specified(objects, prompts, captions)
    assert measured.diversity.shape == (2,) and (measured.diversity >= 0).all()
    assert measured.sharpness == pytest.approx(np.full(6, 4), rel=0.1)
    assert measured.best_cosine.shape == measured.consistent.shape == (6,)
    with pytest.raises(PromptsError, match="'a cat'"):
        measure_under_specified(objects, [*prompts[:1], Prompt("a cat", {"shape": "cat"})], captions)


def test_a_prompt_outside_the_caption_set_is_refused(evaluator: Evaluator) -> None:
    with pytest.raises(PromptsError, match="'a cat' is not among the 2"):
        CaptionSet.embed(FULL[:2], evaluator).index([Prompt("a cat")])
