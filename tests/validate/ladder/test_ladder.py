"""A whole bundle climbs; a deliberately broken one falls at the rung where it was broken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exporter.errors import EnvironmentProblem, RecipeError
from exporter.pipeline.sampling import STATE
from exporter.recipe.validation_section import Tolerances
from exporter.runtime.run import make
from tests.validate.objects.test_judged import FULL, VIEWS
from tests.validate.toy import ToyModel, toy_pipeline
from validate.judge.clip import Evaluator
from validate.judge.prompts import Prompt
from validate.ladder.context import Context, QualityPlan
from validate.ladder.ladder import RUNGS, choose_rungs, climb
from validate.ladder.no_reference import NoReference
from validate.ladder.result import RungResult
from validate.objects.objects import make_objects

TIGHT = Tolerances(
    stage_snr_db=90.0,
    trajectory_snr_db=90.0,
    latents_relative_l2=1e-4,
    mesh_iou=0.999,
    chamfer=1e-4,
    render_psnr_db=50.0,
)


@pytest.fixture(scope="module")
def evaluator(clip_folder: Path) -> Evaluator:
    return Evaluator.load(clip_folder)


@pytest.fixture(scope="module")
def goldens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """What a correct model gives, as a build records it."""
    toy, rng = ToyModel(), np.random.default_rng(0)
    run = make(toy, [{"prompt": "a red box"}], [0])
    latents, embedding, weights = run["latents"], run["embedding"], {name: run[name] for name in ("shape", "paint")}
    inputs = {
        "denoiser": dict.fromkeys(STATE[:3], latents) | {"embedding": embedding, "step": np.int64(1)},
        "projector": {"latents": latents},
        "field": {"points": rng.uniform(-1, 1, (1, 50, 3)).astype(np.float32), **weights},
        "renderer": {"rays": rng.normal(size=(1, 20, 2, 3)).astype(np.float32), **weights},
    }
    folder = tmp_path_factory.mktemp("goldens")
    for name, given in inputs.items():
        np.savez(folder / f"{name}.npz", **given, **toy.run_program(name, given))
    return {name: [folder / f"{name}.npz"] for name in inputs}


def context(bundle: ToyModel, goldens: dict[str, list[Path]], judge: Evaluator | None = None) -> Context:
    plan = QualityPlan(
        prompts=tuple(FULL[:6]), captions=tuple(FULL), seeds=1, under_specified=(Prompt("a ball", {"shape": "ball"}),),
        under_specified_seeds=2, evaluator=judge, max_drop_points=0.0, views=VIEWS,
    )  # fmt: skip
    return Context(
        bundle=bundle, reference=ToyModel(), stages=bundle.pipeline.stages, goldens=goldens,
        tolerances={"fp32": TIGHT}, prompts=["a red box", "a small blue ball"], seed=0,
        quality=plan if judge else None, quality_refusal="random weights", grid=24, picture_size=12,
    )  # fmt: skip


def failed(results: list[RungResult]) -> list[str]:
    return [result.name for result in results if result.status == "failed"]


def by_name(results: list[RungResult], name: str) -> RungResult:
    return next(result for result in results if result.name == name)


def test_an_equal_bundle_passes_every_rung(goldens: dict[str, list[Path]], clip_folder: Path) -> None:
    results = climb(context(ToyModel(), goldens, MatchedJudge.load(clip_folder)))
    assert [result.name for result in results] == ["stages", "steps", "latents", "shape", "renders", "quality"]
    assert {result.status for result in results} == {"passed"}
    quality = by_name(results, "quality")
    assert quality.details["mcnemar_p"] == 1 and len(quality.details["objects"]) == 6
    assert {figure.measure for figure in quality.figures} >= {"drop", "rate", "diversity", "sharpness", "consistent"}


def test_a_wrong_coefficient_is_caught_at_the_denoiser_and_names_the_step(goldens: dict[str, list[Path]]) -> None:
    results = climb(context(ToyModel(coefficient=0.51), goldens))
    assert failed(results) == ["stages", "steps", "latents"]
    worst = by_name(results, "steps").worst
    assert worst is not None and (worst.stage, worst.tensor) == ("denoiser", "next_sample")
    assert worst.where.startswith("evaluation")
    assert by_name(results, "shape").status == "passed"


def test_an_error_at_one_step_alone_is_found_there(goldens: dict[str, list[Path]]) -> None:
    class OffAtTwo(ToyModel):
        def predict(self, sample: np.ndarray, embedding: np.ndarray, step: int) -> np.ndarray:
            return super().predict(sample, embedding, step) * np.float32(1.01 if step == 2 else 1)

    results = climb(context(OffAtTwo(), goldens))
    assert failed(results) == ["steps"], "the last step forgets, so the latents alone would not tell"
    missed = [figure for figure in by_name(results, "steps").figures if not figure.passed]
    assert {figure.where for figure in missed} == {"evaluation 2"}
    assert missed[0].value == pytest.approx(40, abs=0.1)


def test_without_the_reference_the_recordings_are_compared_and_the_rest_says_where(
    goldens: dict[str, list[Path]],
) -> None:
    alone = replace(context(ToyModel(coefficient=0.51), goldens), reference=NoReference("climb it elsewhere"))
    results = climb(alone)
    assert failed(results) == ["stages"]
    assert {(r.status, r.reason) for r in results if r.name != "stages"} == {("skipped", "climb it elsewhere")}
    with pytest.raises(EnvironmentProblem, match="climb it elsewhere"):
        alone.sampled()


@pytest.mark.parametrize("lack", [EnvironmentProblem("no workers"), MemoryError(), OSError(28, "the disk is full")])
def test_what_the_machine_lacks_is_no_finding(goldens: dict[str, list[Path]], lack: Exception) -> None:
    class Lacking(ToyModel):
        def predict(self, sample: np.ndarray, embedding: np.ndarray, step: int) -> np.ndarray:
            raise lack

    with pytest.raises(type(lack)):
        climb(context(Lacking(), goldens))


def test_a_quantized_prediction_decides_for_the_update_that_follows_it(goldens: dict[str, list[Path]]) -> None:
    quantized = context(ToyModel(coefficient=0.51), goldens)
    quantized.stages = toy_pipeline("int8").stages
    quantized.tolerances = {"fp32": TIGHT, "int8": TIGHT}
    result = climb(quantized, choose_rungs(["steps"]))[0]
    assert result.status == "passed" and result.worst is not None and result.worst.tensor == "prediction"
    assert any(figure.tensor == "next_sample" and figure.value < 90 for figure in result.figures)


def test_a_swapped_colour_is_caught_at_the_projector(goldens: dict[str, list[Path]], evaluator: Evaluator) -> None:
    results = climb(context(ToyModel(swapped=True), goldens, evaluator))
    assert failed(results)[:1] == ["stages"] and "renders" in failed(results)
    worst = by_name(results, "stages").worst
    assert worst is not None and (worst.stage, worst.tensor) == ("projector", "paint")
    assert by_name(results, "steps").status == by_name(results, "latents").status == "passed"


def test_scaled_weights_are_caught_by_the_prediction(goldens: dict[str, list[Path]]) -> None:
    results = climb(context(ToyModel(scale=1.001), goldens))
    worst = by_name(results, "steps").worst
    assert worst is not None and worst.value == pytest.approx(60, abs=3)
    assert by_name(results, "shape").status == "passed"


def test_a_larger_field_is_caught_by_the_shape(goldens: dict[str, list[Path]]) -> None:
    class Swollen(ToyModel):
        def field(self, points: np.ndarray, context: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return super().field(points * np.float32(0.97), context)

    shape = by_name(climb(context(Swollen(), goldens)), "shape")
    assert shape.status == "failed"
    assert {figure.measure for figure in shape.figures if not figure.passed} == {"volume IoU", "Chamfer distance"}


def test_nan_and_wrong_shapes_miss(goldens: dict[str, list[Path]]) -> None:
    class Broken(ToyModel):
        def denoise(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            out = super().denoise(inputs)
            return {"next_sample": out["next_sample"] * np.nan, "prediction": out["prediction"][:, :1]}

    results = climb(context(Broken(), goldens))
    assert failed(results)[:2] == ["stages", "steps"]
    assert by_name(results, "steps").worst is not None


def test_all_rungs_run_although_one_raises(goldens: dict[str, list[Path]]) -> None:
    class Raising(ToyModel):
        def field(self, points: np.ndarray, context: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            raise RuntimeError("out of cheese")

    results = climb(context(Raising(), goldens))
    assert len(results) == len(RUNGS)
    assert failed(results) == ["stages", "shape", "renders"]  # empty space is found with the field
    assert by_name(results, "shape").summary == "RuntimeError: out of cheese"


def test_quality_is_refused_without_a_plan_and_steps_skipped_inside_a_loop(goldens: dict[str, list[Path]]) -> None:
    looped = context(ToyModel(pipeline=toy_pipeline(unroll="loop")), goldens)
    results = climb(looped, choose_rungs(["quality", "steps", "latents"]))
    assert [(result.name, result.status) for result in results] == [
        ("steps", "skipped"), ("latents", "passed"), ("quality", "refused"),
    ]  # fmt: skip
    assert "unroll: loop" in results[0].reason and results[2].reason == "random weights"


def test_a_missing_or_damaged_golden_is_named(goldens: dict[str, list[Path]], tmp_path: Path) -> None:
    torn = tmp_path / "torn.npz"
    torn.write_bytes(goldens["field"][0].read_bytes()[:100])
    for change, message in (({"field": [torn]}, "torn.npz"), ({"field": []}, "no goldens are recorded for field")):
        result = climb(context(ToyModel(), {**goldens, **change}), choose_rungs(["stages"]))[0]
        assert result.status == "failed" and message in result.reason


class MatchedJudge(Evaluator):
    """Its captions mean exactly the reference's objects, so that the reference hits them all."""

    def embed_texts(self, texts: list[str], batch: int = 256) -> np.ndarray:
        rows = make_objects(ToyModel(), texts, self, views=VIEWS).embeddings
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_quality_drop_beyond_the_limit_fails(goldens: dict[str, list[Path]], clip_folder: Path) -> None:
    judge = MatchedJudge.load(clip_folder)
    swapped = context(ToyModel(swapped=True), goldens, judge)
    strict = by_name(climb(swapped, choose_rungs(["quality"])), "quality")
    assert strict.status == "failed"
    assert {figure.measure for figure in strict.figures if not figure.passed} == {"drop", "that differ beyond ties"}
    assert strict.worst is not None and "McNemar p = 0.125" in strict.worst.where
    swapped.quality = replace(swapped.quality, max_drop_points=70.0)
    swapped.stages = toy_pipeline("int8").stages
    lenient = by_name(climb(swapped, choose_rungs(["quality"])), "quality")
    assert lenient.status == "passed" and "drop 66.67 points (at most 70 points)" in lenient.summary
    assert "6 pairs cannot show a loss under 100.0 points" in lenient.summary
    assert lenient.details["smallest_loss_points"] == 100.0 and lenient.details["pairs"] == 6


def test_a_reference_that_is_no_better_than_chance_proves_nothing(
    goldens: dict[str, list[Path]], evaluator: Evaluator
) -> None:
    quality = by_name(climb(context(ToyModel(), goldens, evaluator), choose_rungs(["quality"])), "quality")
    assert quality.status == "failed" and all(figure.passed for figure in quality.figures)
    assert quality.summary.startswith("the reference itself is no better than chance (")
    assert "what is compared says nothing" in quality.summary and quality.details["mcnemar_p"] == 1


def test_unknown_rungs_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(RecipeError, match="did you mean 'steps'"):
        choose_rungs(["stepz"])
    assert choose_rungs([]) == RUNGS
