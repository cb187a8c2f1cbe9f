from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from exporter.sampling.loop import loop
from exporter.sampling.schedulers import OF_DIFFUSION
from exporter.sampling.table import table_of
from exporter.sampling.unrolled import unrolled
from exporter.trace.onnx import trace
from exporter.workshop.parity import compare
from tests.exporter.tiny import pure_module, tiny_recipe

STEPS = 8


def make_step(tiny, recipe):
    """One evaluation of the denoiser as it is traced, and the table of its scheduler."""
    return pure_module(tiny, "denoiser", recipe), table_of(recipe.sampler, tiny.scheduler("denoiser"))


def sampled_by_the_original(tiny, recipe, embedding, noise):
    return tiny.original(recipe).sample("denoiser", {"embedding": embedding}, noise)


def start_of(table, seed=0):
    rng = np.random.default_rng(seed)
    embedding = rng.standard_normal((2, 24)).astype(np.float32)
    noise = rng.standard_normal((2, 64, 20)).astype(np.float32)
    return embedding, noise, noise * np.float32(table.init_noise_sigma)


def run_steps(run, table, sample, embedding, evaluations=None):
    """The host's loop around a step, as the runtime has it."""
    state = {"sample": sample, "previous_sample": 0 * sample, "previous_prediction": 0 * sample}
    for i in range(evaluations or table.evaluations):
        next_sample, prediction = run(state | {"embedding": embedding, "step": np.array(i)})
        state = {"sample": next_sample, "previous_sample": state["sample"], "previous_prediction": prediction}
    return state["sample"]


def in_torch(module):
    def run(arrays):
        with torch.inference_mode():
            return [t.numpy() for t in module(*(torch.from_numpy(np.asarray(a)) for a in arrays.values()))]

    return run


@pytest.fixture(scope="module")
def step_program(tiny, tmp_path_factory):
    step, table = make_step(tiny, tiny_recipe(steps=STEPS))
    program = trace(step, 23, tmp_path_factory.mktemp("step"))
    return SimpleNamespace(path=program, table=table)


@pytest.mark.parametrize("clamp", ["diffusers", "openai"])
@pytest.mark.parametrize("scheduler", OF_DIFFUSION)
def test_step_equals_the_original(tiny, scheduler, clamp):
    recipe = tiny_recipe(scheduler=scheduler, steps=STEPS, clamp=clamp)
    step, table = make_step(tiny, recipe)
    embedding, noise, sample = start_of(table)
    actual = run_steps(in_torch(step.module), table, sample, embedding)
    expected = sampled_by_the_original(tiny, recipe, embedding, noise)
    assert compare(expected, actual).relative_l2 < 1e-4


def test_openai_order_is_not_diffusers_order(tiny):
    """What OpenAI's is, the tests of Shap-E's published sampling hold."""
    embedding, noise, _ = start_of(SimpleNamespace(init_noise_sigma=1.0))
    first, second = (
        sampled_by_the_original(tiny, tiny_recipe(steps=STEPS, clamp=clamp, guidance_scale=8.0), embedding, noise)
        for clamp in ("openai", "diffusers")
    )
    assert compare(first, second).relative_l2 > 1e-2


def test_all_three_samplers_agree(step_program, tmp_path):
    table = step_program.table
    embedding, _, sample = start_of(table)
    step = ort.InferenceSession(step_program.path)
    expected = run_steps(lambda arrays: step.run(None, arrays), table, sample, embedding)
    for make in (loop, unrolled):
        program = make(step_program.path, table.evaluations, tmp_path / make.__name__, "latents")
        onnx.checker.check_model(program)
        session = ort.InferenceSession(program)
        assert [i.shape for i in session.get_inputs()] == [["batch", 64, 20], ["batch", 24]]
        for rows in (slice(0, 2), slice(0, 1)):
            (latents,) = session.run(None, {"sample": sample[rows], "embedding": embedding[rows]})
            assert compare(expected[rows], latents).relative_l2 < 1e-4


def test_unrolled_shares_weights_and_folds_the_tables(step_program, tmp_path):
    program = unrolled(step_program.path, step_program.table.evaluations, tmp_path, "latents")
    step, whole = onnx.load(step_program.path).graph, onnx.load(program).graph
    names = [tensor.name for tensor in whole.initializer]
    assert len(names) == len(set(names))
    assert "time_table" not in names and "coefficients" not in names
    assert not any(node.op_type == "Gather" and "step" in node.input for node in whole.node)
    weights = sum(len(t.raw_data) for t in step.initializer)
    assert sum(len(t.raw_data) for t in whole.initializer) < 1.2 * weights


def test_large_weights_stay_in_one_external_file(tiny, tmp_path, monkeypatch):
    for module in ("exporter.trace.onnx", "exporter.graphs.graph_file"):
        monkeypatch.setattr(f"{module}.EXTERNAL_ABOVE_BYTES", 1000)
    pure, table = make_step(tiny, tiny_recipe(steps=2))
    program = trace(pure, 23, tmp_path / "step")
    assert program.stat().st_size < program.with_suffix(".onnx.data").stat().st_size
    embedding, _, sample = start_of(table)
    step = ort.InferenceSession(program)
    expected = run_steps(lambda arrays: step.run(None, arrays), table, sample, embedding)
    for make in (loop, unrolled):
        session = ort.InferenceSession(make(program, table.evaluations, tmp_path / make.__name__, "latents"))
        (latents,) = session.run(None, {"sample": sample, "embedding": embedding})
        assert compare(expected, latents).relative_l2 < 1e-4


def test_without_guidance_the_network_runs_once(tiny):
    recipe = tiny_recipe(steps=2, guidance_scale=1.0)
    step, table = make_step(tiny, recipe)
    batches = []
    step.module.denoiser.register_forward_hook(lambda _, inputs, __: batches.append(len(inputs[0])))
    embedding, noise, sample = start_of(table)
    actual = run_steps(in_torch(step.module), table, sample, embedding)
    assert batches == [2, 2, 2]
    assert compare(sampled_by_the_original(tiny, recipe, embedding, noise), actual).relative_l2 < 1e-5
