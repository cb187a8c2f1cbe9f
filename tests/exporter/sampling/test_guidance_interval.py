"""Guidance at some noise levels alone: the original, the step and the three forms of the sampler do the same."""

from __future__ import annotations

import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.build.build import build
from exporter.errors import RecipeError
from exporter.recipe.recipe_file import load_recipe
from exporter.runtime.bundle import Bundle
from exporter.runtime.guidance import guided_at
from exporter.runtime.run import Run, make
from exporter.sampling.loop import loop
from exporter.sampling.unrolled import unrolled
from exporter.targets.target import load_target
from exporter.trace.onnx import trace
from exporter.workshop.parity import compare
from tests.exporter.build.test_build import in_int8, recipe_of
from tests.exporter.sampling.test_samplers import in_torch, make_step, run_steps, sampled_by_the_original, start_of
from tests.exporter.tiny import pure_module, tiny_recipe

INTERVAL = [1.0, 100.0]
LEVELS = st.lists(st.floats(1e-3, 200.0), min_size=1, max_size=20)
BOUNDS = st.tuples(st.floats(0, 300.0), st.floats(0, 300.0)).map(sorted)


def batches_of(module, table, embedding, sample):
    seen = []
    hook = module.denoiser.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    latents = run_steps(in_torch(module), table, sample, embedding)
    hook.remove()
    return latents, seen


@pytest.mark.parametrize("clamp", ["diffusers", "openai"])
@pytest.mark.parametrize("scheduler", ["heun", "dpmpp_2m"])
def test_the_step_equals_the_original_and_halves_its_batch_outside(tiny, scheduler, clamp):
    recipe = tiny_recipe(scheduler=scheduler, clamp=clamp, guidance_interval=INTERVAL)
    step, table = make_step(tiny, recipe)
    embedding, unit, sample = start_of(table)
    actual, batches = batches_of(step.module, table, embedding, sample)
    inside = (table.noise_levels >= INTERVAL[0]) & (table.noise_levels <= INTERVAL[1])
    assert 0 < inside.sum() < len(inside) and batches == [4 if guided else 2 for guided in inside]
    expected = sampled_by_the_original(tiny, recipe, embedding, unit)
    assert compare(expected, actual).relative_l2 < 1e-4
    everywhere = sampled_by_the_original(tiny, tiny_recipe(scheduler=scheduler, clamp=clamp), embedding, unit)
    assert compare(expected, everywhere).relative_l2 > 1e-2


@pytest.mark.parametrize(("interval", "batch"), [([0.0, 1e4], 4), ([1e3, 1e4], 2)])
def test_an_interval_around_all_levels_or_none(tiny, interval, batch):
    """As without an interval, and as without guidance."""
    step, table = make_step(tiny, tiny_recipe(scheduler="euler", guidance_interval=interval))
    embedding, unit, sample = start_of(table)
    actual, batches = batches_of(step.module, table, embedding, sample)
    assert set(batches) == {batch}
    plain = tiny_recipe(scheduler="euler", guidance_scale=3.0 if batch == 4 else 1.0)
    assert compare(sampled_by_the_original(tiny, plain, embedding, unit), actual).relative_l2 < 1e-4


def test_all_three_samplers_agree_and_store_every_weight_once(tiny, tmp_path):
    recipe = tiny_recipe(scheduler="dpmpp_2m", guidance_interval=INTERVAL)
    pure, table = make_step(tiny, recipe)
    program = trace(pure, 23, tmp_path / "step")
    plain = trace(pure_module(tiny, "denoiser", tiny_recipe(scheduler="dpmpp_2m")), 23, tmp_path / "plain")
    assert stored(program) < stored(plain) + 200
    step = ort.InferenceSession(program)
    assert [i.shape for i in step.get_inputs()] == [i.shape for i in ort.InferenceSession(plain).get_inputs()]
    embedding, unit, sample = start_of(table)
    expected = run_steps(lambda arrays: step.run(None, arrays), table, sample, embedding)
    assert compare(sampled_by_the_original(tiny, recipe, embedding, unit), expected).relative_l2 < 1e-4
    for join in (loop, unrolled):
        whole = join(program, table.evaluations, tmp_path / join.__name__, "latents")
        onnx.checker.check_model(whole)
        session = ort.InferenceSession(whole)
        for rows in (slice(0, 2), slice(0, 1)):
            (latents,) = session.run(None, {"sample": sample[rows], "embedding": embedding[rows]})
            assert compare(expected[rows], latents).relative_l2 < 1e-4


def stored(program):
    return sum(len(tensor.raw_data) for tensor in onnx.load(program).graph.initializer)


@given(LEVELS, BOUNDS, BOUNDS)
def test_a_wider_interval_guides_wherever_a_narrower_one_does(levels, first, second):
    wide = (min(first[0], second[0]), max(first[1], second[1]))
    inner, outer = (guided_at(levels, 3.0, tuple(bounds)) for bounds in (first, wide))
    assert not (inner & ~outer).any()
    assert guided_at(levels, 3.0, None).all() and not guided_at(levels, 1.0, tuple(wide)).any()
    assert [first[0] <= level <= first[1] for level in levels] == inner.tolist()


@pytest.mark.parametrize("setting", ["spacing=exponential", "highest_noise=40.0", "lowest_noise=0.01"])
def test_ddim_has_no_schedule_of_noise_levels(setting):
    with pytest.raises(RecipeError, match="even in time"):
        load_recipe("recipes/shape_e_fp32.yaml", ["sampler.scheduler=ddim", f"sampler.{setting}"])


@pytest.mark.parametrize(
    ("interval", "told"),
    [("[5, 0.3]", "lower noise level first"), ("[-1, 3]", "greater"), ("[1]", "guidance_interval")],
)
def test_wrong_intervals_are_told(interval, told):
    with pytest.raises(RecipeError, match=told):
        load_recipe("recipes/shape_e_fp32.yaml", [f"sampler.guidance_interval={interval}"])


def test_a_quantized_bundle_of_few_evaluations_is_held_to_its_original(tiny, tiny_folder, step_cache, tmp_path):
    """Its products are fused though the number of their rows hangs on the step, with operators that the web has."""
    schedule = {"scheduler": "dpmpp_2m", "steps": 6, "spacing": "exponential", "highest_noise": 40.0}
    recipe = recipe_of(tiny_folder, quantization=in_int8("denoiser/*"), **schedule, guidance_interval=[0.0, 8.0])
    report = build(recipe, load_target("web"), tmp_path / "bundle", cache=step_cache, need_gain=False)
    told = report.manifest.stages["denoiser"].sampling
    assert (told.evaluations, told.highest_noise, told.guidance_interval) == (6, 40.0, [0.0, 8.0])
    steps = {parity.golden for parity in report.parities if parity.stage == "denoiser"}
    assert len(steps) == 6 and min(p.parity.snr_db for p in report.parities if p.tensor == "prediction") > 15
    expected = make(tiny.original(recipe), [{"prompt": "a table"}], [0])
    found = Run(Bundle.open(report.out), {"embedding": expected["embedding"]}, [0])
    assert compare(expected["latents"], found["latents"]).relative_l2 < 0.2
