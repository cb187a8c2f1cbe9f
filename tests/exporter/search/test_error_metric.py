"""The meter on programs that are a line of numpy."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from exporter.pipeline.inputs import TextInput
from exporter.pipeline.pipeline import Pipeline, PipelineStage
from exporter.pipeline.tensor import TensorSpec
from exporter.search.error_metric import NoiseMeter, decibels, mean_nsr, measured_in

PROMPTS = ["red", "blue", "green"]
EVALUATIONS = 6


def pipeline_of(**stages):
    """Of stages as (kind, what they take, what they make)."""

    def specs(names):
        return [TensorSpec(name, "float32", ("batch", 4)) for name in names.split()]

    made = {
        name: PipelineStage(kind=kind, inputs=specs(takes), outputs=specs(makes))
        for name, (kind, takes, makes) in stages.items()
    }
    pipeline = Pipeline(
        inputs={"prompt": TextInput(tensor="input_ids", file="words.json", length=4, pad_id=0)}, stages=made, assets={}
    )
    pipeline.require_sound()
    return pipeline


# The text goes to the sampler through a map.
PIPELINE = pipeline_of(
    text_encoder=("encode", "input_ids", "tokens"),
    pool=("map", "tokens", "embedding"),
    denoiser=("sample", "embedding", "latents"),
    projector=("map", "latents", "first second"),
)
# The second sampler takes the text too, and what a map makes of the first one's latents.
CASCADE = pipeline_of(
    text_encoder=("encode", "input_ids", "embedding"),
    base=("sample", "embedding", "coarse"),
    lift=("map", "coarse", "lifted"),
    upsampler=("sample", "embedding lifted", "fine"),
    projector=("map", "fine", "first second"),
    painter=("map", "first", "colors"),
)
ONE_PASS = pipeline_of(
    image_encoder=("encode", "input_ids", "tokens"),
    backbone=("map", "tokens", "planes"),
)


class Program:
    def __init__(self, run):
        self.runs = 0
        self._run = run

    def run(self, arrays):
        self.runs += 1
        return self._run(arrays)


def scale(taken, made, factor=1.0):
    return lambda arrays: {made: factor * arrays[taken].astype(np.float32)}


def encode(factor=1.0):
    return scale("input_ids", "tokens", factor)


def pool(factor=1.0):
    return scale("tokens", "embedding", factor)


def denoise(noise=0.0, steps=(), taken=("embedding",)):
    def run(arrays):
        value = sum(arrays[name] for name in taken) + arrays["sample"]
        return {"prediction": value * (1 + (noise if not steps or int(arrays["step"]) in steps else 0.0))}

    return run


def project(noise=0.0):
    return lambda arrays: {"first": arrays["latents"] * (1 + noise), "second": arrays["latents"]}


FLOAT = {"text_encoder": encode(), "pool": pool(), "denoiser": denoise(), "projector": project()}
ORIGINALS = {stage: Path(stage) for stage in FLOAT}
IDS = np.concatenate([np.arange(1, 9), np.arange(1, 5)])


@pytest.fixture
def shards(tmp_path):
    """Two shards of prompts, six evaluations of each, and the encoder's shard of prompts that nothing is sampled of."""
    for number, prompts in enumerate((PROMPTS[:2], PROMPTS[2:])):
        count = len(prompts)
        ids = np.arange(1, 1 + 4 * count).reshape(count, 4)
        save(tmp_path / f"text_encoder_{number:04d}.npz", prompts, input_ids=ids)
        save(tmp_path / f"pool_{number:04d}.npz", prompts, tokens=ids.astype(np.float32))
        save(tmp_path / f"projector_{number:04d}.npz", prompts, latents=np.ones((count, 2), np.float32))
        for step in range(EVALUATIONS):
            inputs = {"embedding": ids.astype(np.float32), "sample": np.full((count, 4), 0.5, np.float32)}
            path = tmp_path / f"denoiser_{EVALUATIONS * number + step:04d}.npz"
            save(path, prompts, step=np.array(step), **inputs)
    save(tmp_path / "text_encoder_0002.npz", ["of", "others"], input_ids=np.full((2, 4), 100))
    return {stage: sorted(tmp_path.glob(f"{stage}_*.npz")) for stage in ORIGINALS}


def save(path, prompts, **arrays):
    np.savez_compressed(path, prompts=np.array(prompts), **arrays)


def meter_of(shards, prompts=3, **tried):
    opened = {Path(name): Program(run) for name, run in (FLOAT | tried).items()}
    evaluations = {"denoiser": EVALUATIONS}
    return NoiseMeter(PIPELINE, shards, ORIGINALS, evaluations, prompts, opened.__getitem__), opened


def with_tried(**tried):
    return ORIGINALS | {stage: Path(name) for stage, name in tried.items()}


def carried(factor):
    """NSR of the prediction where the embedding is multiplied by a factor."""
    return pytest.approx((factor - 1) ** 2 * (IDS**2).sum() / ((IDS + 0.5) ** 2).sum(), rel=1e-4)


@pytest.mark.parametrize(
    ("pipeline", "expected"),
    [
        (PIPELINE, {"text_encoder": "denoiser", "pool": "denoiser", "denoiser": "denoiser", "projector": "projector"}),
        (
            CASCADE,
            {
                "text_encoder": "base",
                "base": "base",
                "lift": "upsampler",
                "upsampler": "upsampler",
                "projector": "projector",
                "painter": "painter",
            },
        ),
        (ONE_PASS, {"image_encoder": "image_encoder", "backbone": "backbone"}),
    ],
    ids=["text to latents", "cascade", "one pass"],
)
def test_errors_are_measured_in_the_next_sampler_or_where_they_are_made(pipeline, expected):
    assert {stage: measured_in(pipeline, stage) for stage in pipeline.stages} == expected


def test_every_stage_that_errors_are_measured_in_has_noise(shards):
    meter, _ = meter_of(shards)
    assert meter.measured == ["denoiser", "projector"]
    assert [list(meter.noise(stage, ORIGINALS)) for stage in meter.measured] == [
        ["early", "middle", "late"],
        ["first", "second"],
    ]


def test_noise_of_the_denoiser_by_thirds(shards):
    meter, _ = meter_of(shards, everywhere=denoise(0.1), late=denoise(0.1, steps=(4, 5)))
    nsr = meter.noise("denoiser", with_tried(denoiser="everywhere"))
    assert nsr == {third: pytest.approx(0.01, rel=1e-5) for third in ("early", "middle", "late")}
    nsr = meter.noise("denoiser", with_tried(denoiser="late"))
    assert (nsr["early"], nsr["middle"]) == (0.0, 0.0) and nsr["late"] == pytest.approx(0.01, rel=1e-5)


def test_noise_of_the_text_encoder_is_carried_through_the_map_and_the_denoiser(shards):
    meter, opened = meter_of(shards, encoder=encode(1.1))
    nsr = meter.noise("denoiser", with_tried(text_encoder="encoder"))
    assert nsr == dict.fromkeys(("early", "middle", "late"), carried(1.1))
    # The map in float runs on the encoder's new tokens, once for each batch.
    assert opened[ORIGINALS["pool"]].runs == 2


def test_noise_of_the_map_is_carried_through_the_denoiser(shards):
    meter, opened = meter_of(shards, pooled=pool(1.1))
    nsr = meter.noise("denoiser", with_tried(pool="pooled"))
    assert nsr == dict.fromkeys(("early", "middle", "late"), carried(1.1))
    assert opened[ORIGINALS["text_encoder"]].runs == 0


def test_the_map_takes_what_the_tried_encoder_makes(shards):
    meter, _ = meter_of(shards, encoder=encode(1.1), more=pool(1.1), undone=pool(1 / 1.1))
    assert meter.noise("denoiser", with_tried(text_encoder="encoder", pool="more"))["early"] == carried(1.21)
    assert meter.noise("denoiser", with_tried(text_encoder="encoder", pool="undone"))["early"] < 1e-12


def test_both_at_once(shards):
    meter, _ = meter_of(shards, encoder=encode(1.1), tried=denoise(0.1))
    both = meter.noise("denoiser", with_tried(text_encoder="encoder", denoiser="tried"))
    assert both["early"] > 0.02


def test_each_output_of_the_projector_has_its_own(shards):
    meter, _ = meter_of(shards, tried=project(0.1))
    nsr = meter.noise("projector", with_tried(projector="tried"))
    assert nsr == {"first": pytest.approx(0.01, rel=1e-4), "second": 0.0}
    assert mean_nsr(nsr) == pytest.approx(0.005, rel=1e-4)


def test_errors_before_a_sampler_are_not_those_of_what_comes_after_it(shards):
    meter, _ = meter_of(shards, encoder=encode(1.1), tried=denoise(0.1))
    tried = with_tried(text_encoder="encoder", denoiser="tried")
    assert meter.noise("projector", tried) == {"first": 0.0, "second": 0.0}


def test_what_is_as_it_was_is_not_run(shards):
    meter, opened = meter_of(shards, tried=project(0.1))
    assert set(meter.noise("denoiser", ORIGINALS).values()) == {0.0}
    assert set(meter.noise("projector", ORIGINALS).values()) == {0.0}
    meter.noise("projector", with_tried(projector="tried"))
    assert {stage: opened[path].runs for stage, path in ORIGINALS.items()} == {
        "text_encoder": 0, "pool": 0, "denoiser": 0, "projector": 2
    }  # fmt: skip


def test_float_programs_run_once_for_many_tries(shards):
    meter, opened = meter_of(shards, first=denoise(0.1), second=denoise(0.2))
    for name in ("first", "second"):
        meter.noise("denoiser", with_tried(denoiser=name))
    assert opened[ORIGINALS["denoiser"]].runs == 12 and opened[Path("first")].runs == 12
    assert opened[ORIGINALS["text_encoder"]].runs == opened[ORIGINALS["pool"]].runs == 0


@pytest.mark.parametrize(("prompts", "runs"), [(1, 6), (2, 6), (3, 12), (9, 12)])
@pytest.mark.parametrize("changed", ["encoder", "pool"])
def test_only_so_many_prompts_are_measured(shards, prompts, runs, changed):
    seen = []

    def watched(arrays):
        seen.append(len(arrays["embedding"]))
        return denoise(0.1)(arrays)

    meter, _ = meter_of(shards, prompts, watched=watched, encoder=encode(1.1), pooled=pool(1.1))
    tried = {"text_encoder": "encoder"} if changed == "encoder" else {"pool": "pooled"}
    meter.noise("denoiser", with_tried(denoiser="watched", **tried))
    assert len(seen) == runs and sum(seen) == 6 * min(prompts, 3) and meter.prompts == PROMPTS[:prompts]


def test_what_is_no_number_is_infinite_noise(shards):
    meter, _ = meter_of(shards, broken=denoise(math.nan))
    assert set(meter.noise("denoiser", with_tried(denoiser="broken")).values()) == {math.inf}


def test_a_model_without_a_map_after_its_sampler(shards):
    originals = {stage: path for stage, path in ORIGINALS.items() if stage != "projector"}
    meter = NoiseMeter(PIPELINE, shards, originals, {"denoiser": 6}, 2, lambda path: Program(denoise()))
    assert meter.measured == ["denoiser"]


def test_a_model_without_a_sampler_is_measured_stage_by_stage(tmp_path):
    ids = np.arange(1, 9).reshape(2, 4)
    save(tmp_path / "image_encoder_0000.npz", PROMPTS[:2], input_ids=ids)
    save(tmp_path / "backbone_0000.npz", PROMPTS[:2], tokens=ids.astype(np.float32))
    programs = {"image_encoder": encode(), "backbone": scale("tokens", "planes"), "tried": encode(1.1)}
    originals = {stage: Path(stage) for stage in ONE_PASS.stages}
    shards = {stage: sorted(tmp_path.glob(f"{stage}_*.npz")) for stage in originals}
    meter = NoiseMeter(ONE_PASS, shards, originals, {}, 2, lambda path: Program(programs[path.name]))
    tried = originals | {"image_encoder": Path("tried")}
    assert meter.measured == ["image_encoder", "backbone"] and meter.prompts == PROMPTS[:2]
    assert meter.noise("image_encoder", tried) == {"tokens": pytest.approx(0.01, rel=1e-4)}
    assert meter.noise("backbone", tried) == {"planes": 0.0}


def test_prompts_are_counted_once_where_a_sampler_comes_first(tmp_path):
    pipeline = pipeline_of(denoiser=("sample", "", "latents"))
    for step in range(6):
        save(tmp_path / f"denoiser_{step:04d}.npz", PROMPTS[:2], sample=np.ones((2, 4)), step=np.array(step))
    seen = []

    def watched(arrays):
        seen.append(len(arrays["sample"]))
        return denoise(0.1, taken=())(arrays)

    programs = {"denoiser": denoise(taken=()), "watched": watched}
    shards = {"denoiser": sorted(tmp_path.glob("*.npz"))}
    originals = {"denoiser": Path("denoiser")}
    meter = NoiseMeter(pipeline, shards, originals, {"denoiser": 6}, 3, lambda path: Program(programs[path.name]))
    assert meter.noise("denoiser", {"denoiser": Path("watched")})["late"] == pytest.approx(0.01)
    assert seen == [2] * 6 and meter.prompts == PROMPTS[:2]


def test_a_model_with_nothing_to_quantize_measures_nothing():
    nothing = Pipeline(inputs={}, stages={}, assets={})
    meter = NoiseMeter(nothing, {}, {}, {}, 4, Path.open)
    assert meter.prompts == meter.measured == []


@pytest.fixture
def cascade(tmp_path):
    """A meter of two samplers, its opened programs and its float programs; 'x' is any of them with a tenth more."""
    ids = np.arange(1, 5)[None]
    values = {"input_ids": ids} | {
        name: ids.astype(np.float32) for name in ("embedding", "coarse", "lifted", "fine", "first")
    }
    for name, stage in CASCADE.stages.items():
        arrays = {spec.name: values[spec.name] for spec in stage.takes}
        for step in range(3 if stage.kind == "sample" else 1):
            state = {"sample": np.full((1, 4), 0.5, np.float32), "step": np.array(step)}
            save(tmp_path / f"{name}_{step:04d}.npz", ["red"], **arrays, **(state if stage.kind == "sample" else {}))

    def runs(factor):
        def project(arrays):
            return dict.fromkeys(("first", "second"), factor * arrays["fine"])

        return {
            "text_encoder": scale("input_ids", "embedding", factor),
            "base": denoise(factor - 1),
            "lift": scale("coarse", "lifted", factor),
            "upsampler": denoise(factor - 1, taken=("embedding", "lifted")),
            "projector": project,
            "painter": scale("first", "colors", factor),
        }

    originals = {stage: Path(stage) for stage in CASCADE.stages}
    programs = runs(1.0) | {f"{stage} x": run for stage, run in runs(1.1).items()}
    opened = {Path(name): Program(run) for name, run in programs.items()}
    shards = {stage: sorted(tmp_path.glob(f"{stage}_*.npz")) for stage in originals}
    evaluations = {"base": 3, "upsampler": 3}
    return NoiseMeter(CASCADE, shards, originals, evaluations, 4, opened.__getitem__), opened, originals


@pytest.mark.parametrize(
    ("changed", "noisy"),
    [
        ("text_encoder", {"base", "upsampler"}),
        ("base", {"base"}),
        ("lift", {"upsampler"}),
        ("upsampler", {"upsampler"}),
        ("projector", {"projector"}),
        ("painter", {"painter"}),
    ],
)
def test_of_two_samplers_each_has_the_noise_of_what_it_takes(cascade, changed, noisy):
    meter, _, originals = cascade
    assert meter.measured == ["base", "upsampler", "projector", "painter"]
    tried = originals | {changed: Path(f"{changed} x")}
    noise = {stage: mean_nsr(meter.noise(stage, tried)) for stage in meter.measured}
    assert {stage for stage, nsr in noise.items() if nsr > 0} == noisy
    values = np.arange(1, 5)
    taken_twice = (0.1 * values**1) ** 2 @ np.ones(4) / ((2 * values + 0.5) ** 2).sum()
    if changed in ("text_encoder", "lift"):
        assert noise["upsampler"] == pytest.approx(taken_twice, rel=1e-4)


def test_a_map_on_recorded_latents_is_not_run_again_for_a_changed_encoder(cascade):
    meter, opened, originals = cascade
    meter.noise("upsampler", originals | {"text_encoder": Path("text_encoder x")})
    assert opened[Path("lift")].runs == opened[Path("base")].runs == 0


def test_decibels():
    assert decibels(0.01) == pytest.approx(20.0) and decibels(0.0) == math.inf
    assert mean_nsr({}) == 0.0
