"""Latents of any rank, and conditions of one vector or of many tokens, in every form of the sampler."""

from __future__ import annotations

import diffusers
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from exporter.pipeline.tensor import TensorSpec
from exporter.sampling.loop import loop
from exporter.sampling.step import step_module
from exporter.sampling.unrolled import unrolled
from exporter.sampling.whole import whole_module
from exporter.trace.onnx import trace
from exporter.workshop.parity import compare
from tests.exporter.sampling.small_network import SmallDenoiser, both_sides
from tests.exporter.sampling.test_samplers import in_torch, run_steps
from tests.exporter.tiny import sampler

VECTOR, TOKENS = (5,), (7, 5)
LATENTS = [(6,), (4, 6), (2, 4, 6), (2, 2, 2, 6)]
INTERVAL = [1.0, 8.0]


def sides(latents, condition, **changes):
    """The step, its table, the latents of the original, and what they are made from, for three objects."""
    rng = np.random.default_rng(0)
    embedding, unit = (rng.standard_normal((3, *shape)).astype(np.float32) for shape in (condition, latents))
    own = diffusers.DDIMScheduler(beta_schedule="scaled_linear", prediction_type="epsilon", clip_sample=True)
    settings = sampler(**{"steps": 4} | changes)
    step, table, original = both_sides(SmallDenoiser().eval(), own, settings, len(latents))
    return step, table, original.sample([embedding], unit), embedding, unit * np.float32(table.init_noise_sigma)


@pytest.mark.parametrize("interval", [None, INTERVAL])
@pytest.mark.parametrize("clamp", ["diffusers", "openai"])
@pytest.mark.parametrize("condition", [VECTOR, TOKENS])
@pytest.mark.parametrize("latents", LATENTS)
def test_the_step_equals_the_original(latents, condition, clamp, interval):
    step, table, expected, embedding, sample = sides(latents, condition, clamp=clamp, guidance_interval=interval)
    if interval:
        inside = (table.noise_levels >= interval[0]) & (table.noise_levels <= interval[1])
        assert 0 < inside.sum() < len(inside)
    assert expected.shape == (3, *latents)
    assert compare(expected, run_steps(in_torch(step), table, sample, embedding)).relative_l2 < 1e-4


@pytest.mark.parametrize("interval", [None, INTERVAL])
@pytest.mark.parametrize(("latents", "condition"), [((6,), TOKENS), ((2, 4, 6), VECTOR), ((2, 2, 2, 6), TOKENS)])
def test_the_programs_of_all_forms_do(latents, condition, interval, tmp_path):
    step, table, expected, embedding, sample = sides(latents, condition, clamp="openai", guidance_interval=interval)
    specs = [
        TensorSpec(name, "float32", ("batch", *shape)) for name, shape in (("embedding", condition), ("x", latents))
    ]
    module = step_module("denoiser", step, specs[:1], specs[1])
    with torch.inference_mode():
        whole = whole_module(module, table.evaluations, "latents").module(
            torch.from_numpy(sample), torch.from_numpy(embedding)
        )
    assert compare(expected, whole.numpy()).relative_l2 < 1e-4
    program = trace(module, 23, tmp_path / "step")
    session = ort.InferenceSession(program)
    found = run_steps(lambda arrays: session.run(None, arrays), table, sample, embedding)
    assert compare(expected, found).relative_l2 < 1e-4
    for make in (loop, unrolled):
        path = make(program, table.evaluations, tmp_path / make.__name__, "latents")
        onnx.checker.check_model(path)
        session = ort.InferenceSession(path)
        assert [i.shape for i in session.get_inputs()] == [["batch", *latents], ["batch", *condition]]
        for rows in (slice(0, 3), slice(0, 1)):
            (found,) = session.run(None, {"sample": sample[rows], "embedding": embedding[rows]})
            assert compare(expected[rows], found).relative_l2 < 1e-4
