"""The meter on programs that are a line of numpy."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from exporter.search.error_metric import NoiseMeter, decibels, mean_nsr

ORIGINALS = {stage: Path(stage) for stage in ("text_encoder", "denoiser", "projector")}
PROMPTS = ["red", "blue", "green"]


class Program:
    def __init__(self, run):
        self.runs = 0
        self._run = run

    def run(self, arrays):
        self.runs += 1
        return self._run(arrays)


def encode(factor=1.0):
    return lambda arrays: {"embedding": factor * arrays["input_ids"].astype(np.float32)}


def denoise(noise=0.0, steps=()):
    def run(arrays):
        value = arrays["embedding"] + arrays["sample"]
        return {"prediction": value * (1 + (noise if not steps or int(arrays["step"]) in steps else 0.0))}

    return run


def project(noise=0.0):
    return lambda arrays: {"first": arrays["latents"] * (1 + noise), "second": arrays["latents"]}


@pytest.fixture
def shards(tmp_path):
    """Two shards of prompts, six evaluations of each."""
    for number, prompts in enumerate((PROMPTS[:2], PROMPTS[2:])):
        count = len(prompts)
        ids = np.arange(1, 1 + 4 * count).reshape(count, 4)
        save(tmp_path / f"text_encoder_{number:04d}.npz", prompts, input_ids=ids)
        save(tmp_path / f"projector_{number:04d}.npz", prompts, latents=np.ones((count, 2), np.float32))
        for step in range(6):
            inputs = {"embedding": ids.astype(np.float32), "sample": np.full((count, 4), 0.5, np.float32)}
            save(tmp_path / f"denoiser_{6 * number + step:04d}.npz", prompts, step=np.array(step), **inputs)
    return {stage: sorted(tmp_path.glob(f"{stage}_*.npz")) for stage in ORIGINALS}


def save(path, prompts, **arrays):
    np.savez_compressed(path, prompts=np.array(prompts), **arrays)


def meter_of(shards, prompts=3, **tried):
    opened = {
        path: Program(run) for path, run in zip(ORIGINALS.values(), (encode(), denoise(), project()), strict=True)
    }
    opened |= {Path(name): Program(run) for name, run in tried.items()}
    return NoiseMeter(shards, ORIGINALS, 6, prompts, opened.__getitem__), opened


def test_noise_of_the_denoiser_by_thirds(shards):
    meter, _ = meter_of(shards, everywhere=denoise(0.1), late=denoise(0.1, steps=(4, 5)))
    nsr = meter.guided(ORIGINALS | {"denoiser": Path("everywhere")})
    assert nsr == {third: pytest.approx(0.01, rel=1e-5) for third in ("early", "middle", "late")}
    nsr = meter.guided(ORIGINALS | {"denoiser": Path("late")})
    assert (nsr["early"], nsr["middle"]) == (0.0, 0.0) and nsr["late"] == pytest.approx(0.01, rel=1e-5)


def test_noise_of_the_text_encoder_is_carried_through_the_denoiser(shards):
    meter, _ = meter_of(shards, encoder=encode(1.1))
    nsr = meter.guided(ORIGINALS | {"text_encoder": Path("encoder")})
    values = np.concatenate([np.arange(1, 9), np.arange(1, 5)])
    assert nsr["early"] == pytest.approx(0.01 * (values**2).sum() / ((values + 0.5) ** 2).sum(), rel=1e-4)


def test_both_at_once(shards):
    meter, _ = meter_of(shards, encoder=encode(1.1), tried=denoise(0.1))
    both = meter.guided(ORIGINALS | {"text_encoder": Path("encoder"), "denoiser": Path("tried")})
    assert both["early"] > 0.02


def test_each_output_of_the_projector_has_its_own(shards):
    meter, _ = meter_of(shards, tried=project(0.1))
    nsr = meter.projector(ORIGINALS | {"projector": Path("tried")})
    assert nsr == {"first": pytest.approx(0.01, rel=1e-4), "second": 0.0}
    assert mean_nsr(nsr) == pytest.approx(0.005, rel=1e-4)


def test_what_is_as_it_was_is_not_run(shards):
    meter, opened = meter_of(shards, tried=project(0.1))
    assert set(meter.guided(ORIGINALS).values()) == {0.0} == set(meter.projector(ORIGINALS).values())
    meter.projector(ORIGINALS | {"projector": Path("tried")})
    assert opened[ORIGINALS["denoiser"]].runs == 0


def test_float_programs_run_once_for_many_tries(shards):
    meter, opened = meter_of(shards, first=denoise(0.1), second=denoise(0.2))
    for name in ("first", "second"):
        meter.guided(ORIGINALS | {"denoiser": Path(name)})
    assert opened[ORIGINALS["denoiser"]].runs == 12 and opened[Path("first")].runs == 12


@pytest.mark.parametrize(("prompts", "runs"), [(1, 6), (2, 6), (3, 12), (9, 12)])
def test_only_so_many_prompts_are_measured(shards, prompts, runs):
    seen = []

    def watched(arrays):
        seen.append(len(arrays["embedding"]))
        return denoise(0.1)(arrays)

    meter, _ = meter_of(shards, prompts, watched=watched)
    meter.guided(ORIGINALS | {"denoiser": Path("watched")})
    assert len(seen) == runs and sum(seen) == 6 * min(prompts, 3) and meter.prompts == PROMPTS[:prompts]


def test_what_is_no_number_is_infinite_noise(shards):
    meter, _ = meter_of(shards, broken=denoise(math.nan))
    assert set(meter.guided(ORIGINALS | {"denoiser": Path("broken")}).values()) == {math.inf}


def test_a_model_without_a_projector(shards):
    originals = {stage: path for stage, path in ORIGINALS.items() if stage != "projector"}
    meter = NoiseMeter(shards, originals, 6, 2, lambda path: Program(denoise()))
    assert meter.projector(originals) == {}


def test_decibels():
    assert decibels(0.01) == pytest.approx(20.0) and decibels(0.0) == math.inf
    assert mean_nsr({}) == 0.0
