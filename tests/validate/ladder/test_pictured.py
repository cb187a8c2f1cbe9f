"""The quality rung of a model that takes pictures: an object made of each, judged by the picture's caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exporter.files.cache import Cache
from exporter.pipeline.inputs import PictureInput
from exporter.pipeline.pipeline import Pipeline
from exporter.runtime.run import Arrays, Request
from tests.validate.ladder.test_ladder import MatchedJudge
from tests.validate.objects.test_judged import VIEWS
from tests.validate.toy import COLORS, ToyModel, toy_pipeline
from validate.judge.prompts import Prompt
from validate.ladder.context import Context, QualityPlan
from validate.ladder.rungs import quality
from validate.objects.exhibits import make_exhibits
from validate.objects.memory import ObjectMemory

PICTURE = PictureInput(tensor="embedding", size=8, resampling="bicubic", mean=(0, 0, 0), std=(1, 1, 1))
PIPELINE: Pipeline = toy_pipeline("int8").model_copy(update={"inputs": {"picture": PICTURE}})


@dataclass
class Seer(ToyModel):
    """A ball of the colour of the picture's first pixel."""

    pipeline: Pipeline = PIPELINE

    def read(self, requests: Sequence[Request]) -> Arrays:
        pixels = [np.array(Image.open(request["picture"]).getpixel((0, 0))) / 255 for request in requests]
        return {"embedding": np.array([[0.6, 0, 0, 0, *pixel, 0] for pixel in pixels], np.float32)}


def pictures(folder: Path) -> tuple[Prompt, ...]:
    """Of a ball in each colour, plain."""
    folder.mkdir(exist_ok=True)
    for name, color in COLORS.items():
        Image.new("RGB", (2, 2), tuple(round(255 * value) for value in color)).save(folder / f"{name}.png")
    return tuple(Prompt(f"a {name} ball", picture=folder / f"{name}.png") for name in COLORS)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def context(bundle: ToyModel, prompts: tuple[Prompt, ...], judge: Path, cache: Cache) -> Context:
    plan = QualityPlan(
        prompts=prompts, captions=prompts, seeds=1, under_specified=(), under_specified_seeds=1,
        evaluator=MatchedJudge.load(judge), max_drop_points=10.0, views=VIEWS, memory=ObjectMemory(cache, {}),
    )  # fmt: skip
    return Context(
        bundle=bundle, reference=Seer(), stages=PIPELINE.stages, goldens={}, tolerances={}, prompts=[], seed=0,
        quality=plan,
    )  # fmt: skip


def test_an_object_of_each_picture_is_looked_for_among_the_captions(
    cache: Cache, clip_folder: Path, tmp_path: Path
) -> None:
    made = quality.RUNG.run(context(Seer(), pictures(tmp_path / "a"), clip_folder, cache))
    rates, *more = made.details["comparisons"]
    assert rates["reference"] == rates["bundle"] == 100 and not more
    first = made.details["objects"][0]
    assert (first["prompt"], first["picture"], first["seed"]) == ("a red ball", "red.png", 0)


def test_a_bundle_that_loses_what_pictures_show_fails(cache: Cache, clip_folder: Path, tmp_path: Path) -> None:
    made = quality.RUNG.run(context(Seer(swapped=True), pictures(tmp_path / "a"), clip_folder, cache))
    drop = next(figure for figure in made.figures if figure.measure == "drop")
    assert not drop.passed and drop.value == pytest.approx(200 / 3)


def test_the_references_objects_are_known_by_what_is_in_the_pictures(
    cache: Cache, clip_folder: Path, tmp_path: Path
) -> None:
    def recalled(prompts: tuple[Prompt, ...]) -> bool:
        return quality.RUNG.run(context(Seer(), prompts, clip_folder, cache)).details["reference_from_cache"]

    assert [recalled(pictures(tmp_path / place)) for place in ("a", "b")] == [False, True]
    Image.new("RGB", (2, 2), (0, 0, 0)).save(tmp_path / "b" / "red.png")
    assert not recalled(tuple(Prompt(f"a {name} ball", picture=tmp_path / "b" / f"{name}.png") for name in COLORS))


def test_people_look_at_them_under_their_captions(tmp_path: Path) -> None:
    exhibits = make_exhibits(Seer(), Seer(), pictures(tmp_path / "a"), count=2)
    assert [one.prompt for one in exhibits] == ["a red ball", "a blue ball"]
    assert np.allclose(exhibits[0].bundle.mesh.colors, COLORS["red"], atol=0.02)
