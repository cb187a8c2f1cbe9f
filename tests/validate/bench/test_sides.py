"""One step and one object of a bundle."""

from __future__ import annotations

import json

import numpy as np
import pytest

from exporter.runtime.bundle import Bundle
from tests.toy_bundle import write_toy_bundle
from validate.bench.sides import STAGES, TO_MESH, BundleSide, Work

WORK = Work("a red ball", grid=24, picture=16)


@pytest.fixture
def side(toy_bundle):
    return BundleSide(Bundle.open(toy_bundle))


def test_an_object_is_what_the_bundle_makes_and_every_stage_has_its_time(side, toy_bundle):
    made = side.make(WORK)
    assert set(made.seconds) == set(STAGES) and min(made.seconds.values()) > 0
    bundle = Bundle.open(toy_bundle)
    assert np.array_equal(bundle.mesh(made.latents).vertices, bundle.generate("a red ball").vertices)


def test_a_picture_is_made_where_one_is_wanted_and_can_be(side, tmp_path):
    assert set(side.make(Work("a red ball", 24)).seconds) == set(TO_MESH)
    whole = BundleSide(Bundle.open(write_toy_bundle(tmp_path / "full", "full")))
    assert set(whole.make(WORK).seconds) == set(TO_MESH)


def test_a_sampler_that_stops_early_is_told_for_all_of_it(side, monkeypatch):
    runs = []
    session = side.bundle.session("denoiser")
    monkeypatch.setattr(session, "run", lambda arrays, run=session.run: runs.append(arrays["step"]) or run(arrays))
    early = side.make(WORK, evaluations=1)
    assert len(runs) == 1 and not np.array_equal(early.latents, side.make(WORK).latents)
    assert len(runs) == 1 + side.evaluations == 4


def test_a_loop_in_one_program_cannot_stop_early(tmp_path):
    whole = BundleSide(Bundle.open(write_toy_bundle(tmp_path / "full", "full")))
    assert np.array_equal(whole.make(WORK, evaluations=1).latents, whole.make(WORK).latents)


def test_latents_that_are_given_are_what_is_decoded(side):
    given = np.full((1, 2, 4), 0.25, np.float32)
    assert np.array_equal(side.make(WORK, evaluations=1, latents=given).latents, given)


def test_every_object_starts_from_its_prompt(side, monkeypatch):
    asked = []
    session = side.bundle.session("text_encoder")
    run = session.run
    monkeypatch.setattr(session, "run", lambda arrays: asked.append(arrays) or run(arrays))
    side.make(WORK)
    side.make(WORK)
    assert len(asked) == 2


def test_a_step_is_the_denoiser(side):
    assert side.step("a red ball")()["prediction"].shape == (1, 2, 4)


def test_where_guidance_is_spared_a_step_is_an_evaluation_that_has_it(tmp_path, monkeypatch):
    side = BundleSide(Bundle.open(write_toy_bundle(tmp_path / "spared")))
    manifest = side.bundle.manifest
    sampler = manifest.sampler.model_copy(update={"guidance_scale": 3.0, "guidance_interval": [0.5, 2.0]})
    side.bundle.manifest = manifest.model_copy(update={"sampler": sampler})
    (side.bundle.folder / sampler.table).write_text(json.dumps({"noise_levels": [9.0, 1.0, 0.1]}))
    asked = []
    session = side.bundle.session("denoiser")
    monkeypatch.setattr(
        session, "run", lambda arrays, run=session.run: asked.append(int(arrays["step"])) or run(arrays)
    )
    made = side.make(WORK)
    assert asked == [0, 1, 2, 1] and made.step > 0


def test_points_are_counted_and_all_programs_opened(side):
    side.open()
    assert set(side.bundle._sessions) == set(side.bundle.manifest.stages)
    side.make(Work(WORK.prompt, WORK.grid))
    assert 500 < side.bundle.points < 2 * 24**3


def test_threads_are_set_and_the_bundle_stays_as_it_is(toy_bundle):
    bundle = Bundle.open(toy_bundle)
    own = BundleSide(bundle, 3).bundle
    assert own.manifest.target["session"]["threads"] == 3
    assert own.manifest.target["session"]["providers"] == bundle.manifest.target["session"]["providers"]
    assert bundle.manifest.target["session"]["threads"] == 0
