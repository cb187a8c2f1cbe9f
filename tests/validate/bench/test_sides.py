"""One step and one object of a bundle."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from exporter.errors import RecipeError
from exporter.pipeline.tensor import TensorSpec
from exporter.runtime.bundle import Bundle
from exporter.runtime.run import Run
from tests.toy_bundle import write_toy_bundle
from validate.bench.sides import TENSORS, BundleSide, Work
from validate.bench.timed_programs import INPUTS

WORK = Work("a red ball", grid=24, picture=16)
TO_MESH = [INPUTS, "text_encoder", "denoiser", "projector", "field", "mesh"]


@pytest.fixture
def side(toy_bundle):
    return BundleSide(Bundle.open(toy_bundle))


def with_pipeline(side, **changes):
    """The side of a bundle that has another pipeline, of the same programs."""
    side.bundle.manifest = side.bundle.manifest.model_copy(update=changes)
    return side


def test_an_object_is_what_the_bundle_makes_and_every_stage_has_its_time(side, toy_bundle):
    made = side.make(WORK)
    assert list(made.seconds) == TO_MESH and min(made.seconds.values()) > 0
    assert list(made.besides) == ["image"] and made.besides["image"] > 0
    bundle = Bundle.open(toy_bundle)
    run = Run(bundle, made.latents)
    assert np.array_equal(bundle.mesh(run).vertices, bundle.generate("a red ball").vertices)


def test_a_picture_is_made_where_one_is_wanted_and_can_be(side, tmp_path):
    assert side.make(Work("a red ball", 24)).besides == {}
    whole = BundleSide(Bundle.open(write_toy_bundle(tmp_path / "full", "full")))
    made = whole.make(WORK)
    assert list(made.seconds) == TO_MESH and made.besides == {}


def test_an_image_that_is_the_first_asset_is_made_whatever_was_wanted(side):
    image = side.pipeline.assets["image"]
    made = with_pipeline(side, assets={"image": image}).make(Work("a red ball"))
    assert list(made.seconds) == [INPUTS, "text_encoder", "denoiser", "projector", "renderer", "image"]
    assert made.places["renderer"] == image.size**2 and made.steps["denoiser"] > 0


def test_a_pipeline_without_assets_is_run_to_its_last_tensor(side):
    made = with_pipeline(side, assets={}).make(WORK)
    assert list(made.seconds) == [*TO_MESH[:4], TENSORS] and set(made.run.tensors) >= set(side.pipeline.made)


def test_a_pipeline_without_a_sampler_is_timed_and_has_no_step(side):
    latents = TensorSpec("latents", "float32", ("batch", 2, 4))
    encoder = side.pipeline.stages["text_encoder"]
    stages = {"text_encoder": encoder, "lift": encoder.model_copy(update={"kind": "map", "outputs": [latents]})}
    stages |= {name: side.pipeline.stages[name] for name in ("projector", "field")}
    side = with_pipeline(side, stages=stages, assets={"mesh": side.pipeline.assets["mesh"]})
    side.bundle._sessions["lift"] = SimpleNamespace(run=lambda arrays: {"latents": np.ones((1, 2, 4), np.float32)})
    made = side.make(WORK)
    assert list(made.seconds) == [INPUTS, "lift", "projector", "field", "mesh"]
    assert made.steps == {} and made.latents == {} and side.steps("a red ball") == {}


def test_each_of_two_samplers_is_timed_and_stops_early(side):
    """The second makes the latents that are decoded, of the first one's and the embedding."""
    denoiser = side.pipeline.stages["denoiser"]
    first, second = (
        denoiser.model_copy(update={"sampling": denoiser.sampling.model_copy(update={"latents": spec})})
        for spec in (TensorSpec("coarse", "float32", ("batch", 2, 4)), denoiser.sampling.latents)
    )
    second = second.model_copy(update={"inputs": [*second.inputs, first.makes[0]]})
    stages = {"text_encoder": side.pipeline.stages["text_encoder"], "base": first, "upsampler": second}
    stages |= {name: side.pipeline.stages[name] for name in ("projector", "field", "renderer")}
    steps = {"base": [], "upsampler": []}
    run = side.bundle.session("denoiser").run
    side = with_pipeline(side, stages=stages)
    for name, seen in steps.items():
        seen_run = SimpleNamespace(run=lambda arrays, seen=seen: seen.append(int(arrays["step"])) or run(arrays))
        side.bundle._sessions[name] = seen_run
    made = side.make(WORK)
    assert list(made.seconds) == [INPUTS, "text_encoder", "base", "upsampler", "projector", "field", "mesh"]
    assert set(made.steps) == {"base", "upsampler"} and set(made.latents) == {"coarse", "latents"}
    assert steps == {"base": [0, 1, 2], "upsampler": [0, 1, 2]}
    assert set(side.steps("a red ball")) == {"base", "upsampler"}
    assert steps == {"base": [0, 1, 2, 0], "upsampler": [0, 1, 2]}


def test_a_sampler_that_stops_early_is_told_for_all_of_it(side, monkeypatch):
    runs = []
    session = side.bundle.session("denoiser")
    monkeypatch.setattr(session, "run", lambda arrays, run=session.run: runs.append(arrays["step"]) or run(arrays))
    early = side.make(WORK, evaluations=1)
    assert len(runs) == 1 and not np.array_equal(early.latents["latents"], side.make(WORK).latents["latents"])
    assert len(runs) == 1 + side.evaluations("denoiser") == 4
    assert early.steps["denoiser"] == pytest.approx(early.seconds["denoiser"] / 3)


def test_a_loop_in_one_program_cannot_stop_early(tmp_path):
    whole = BundleSide(Bundle.open(write_toy_bundle(tmp_path / "full", "full")))
    early, entire = whole.make(WORK, evaluations=1).latents, whole.make(WORK).latents
    assert np.array_equal(early["latents"], entire["latents"])


def test_a_loop_in_one_program_has_no_step(tmp_path):
    whole = BundleSide(Bundle.open(write_toy_bundle(tmp_path / "full", "full")))
    with pytest.raises(RecipeError, match=r"'denoiser' is one program \(unroll: full\)"):
        whole.step("a red ball")


def test_latents_that_are_given_are_what_is_decoded(side):
    given = np.full((1, 2, 4), 0.25, np.float32)
    made = side.make(WORK, evaluations=1, latents={"latents": given})
    assert np.array_equal(made.latents["latents"], given) and (made.run["radius"] == 0.25).all()


def test_every_object_starts_from_its_prompt(side, monkeypatch):
    asked = []
    session = side.bundle.session("text_encoder")
    run = session.run
    monkeypatch.setattr(session, "run", lambda arrays: asked.append(arrays) or run(arrays))
    side.make(WORK)
    side.make(WORK)
    assert len(asked) == 2


def test_a_step_is_the_denoiser(side):
    [made] = side.step("a red ball")()
    assert made["prediction"].shape == (1, 2, 4)


def test_where_guidance_is_spared_a_step_is_an_evaluation_that_has_it(tmp_path, monkeypatch):
    side = BundleSide(Bundle.open(write_toy_bundle(tmp_path / "spared")))
    stages = side.pipeline.stages
    sampling = stages["denoiser"].sampling.model_copy(update={"guidance_scale": 3.0, "guidance_interval": [0.5, 2.0]})
    with_pipeline(side, stages={**stages, "denoiser": stages["denoiser"].model_copy(update={"sampling": sampling})})
    (side.bundle.folder / sampling.table).write_text(json.dumps({"noise_levels": [9.0, 1.0, 0.1]}))
    asked = []
    session = side.bundle.session("denoiser")
    monkeypatch.setattr(
        session, "run", lambda arrays, run=session.run: asked.append(int(arrays["step"])) or run(arrays)
    )
    made = side.make(WORK)
    assert asked == [0, 1, 2, 1] and made.steps["denoiser"] > 0


def test_points_are_counted_and_all_programs_opened(side):
    side.open()
    assert set(side.bundle._sessions) == set(side.bundle.manifest.stages)
    assert 500 < side.make(WORK).places["field"] < 2 * 24**3


def test_threads_are_set_and_the_bundle_stays_as_it_is(toy_bundle):
    bundle = Bundle.open(toy_bundle)
    own = BundleSide(bundle, 3).bundle
    assert own.manifest.target["session"]["threads"] == 3
    assert own.manifest.target["session"]["providers"] == bundle.manifest.target["session"]["providers"]
    assert bundle.manifest.target["session"]["threads"] == 0
