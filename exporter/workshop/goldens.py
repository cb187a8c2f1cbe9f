"""Goldens: what the PyTorch reference takes and gives, stage by stage, on real prompts; and programs held to them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from exporter.recipe.recipe import Recipe, Tolerances
from exporter.runtime.assets.cameras import PAN_ELEVATION, camera_rays, orbit_camera
from exporter.runtime.inputs.noise import object_seeds, unit_noise
from exporter.runtime.inputs.tokenizer import PromptTokenizer
from exporter.runtime.sessions.session import Session
from exporter.workshop.parity import Parity, compare

if TYPE_CHECKING:
    from exporter.families.family import LoadedModel, Reference

Arrays = dict[str, np.ndarray]
OnEvaluation = Callable[[int, int], None]

GOLDENS = "goldens"
TRAJECTORY_ELEMENTS = 2**23
FILE_ELEMENTS = 2**18
EVALUATIONS_KEPT = 6
POINTS = 4096
PICTURE = 24


@dataclass(frozen=True)
class GoldenParity:
    """One output of one program against one golden; `limit_db` is the least SNR the recipe allows."""

    stage: str
    tensor: str
    golden: str
    precision: str
    parity: Parity
    limit_db: float

    @property
    def passed(self) -> bool:
        return self.parity.snr_db >= self.limit_db


def record(model: LoadedModel, recipe: Recipe, folder: Path, on_evaluation: OnEvaluation) -> None:
    """Write `<stage>_<k>.npz`, each holding a stage's inputs and outputs by tensor name.

    Prompt k starts from the noise of the recipe's seed + k, as `t3export run --seed` does from that of its seed.
    A model whose whole trajectory would be too large (more than 2^23 latent elements) is recorded over its first
    evaluations, one with guidance among them, for as many prompts as are kept of them, and decoded from the last
    prediction, unless the recipe unrolls the sampler.
    """
    stages = model.stages(recipe.render)
    reference = model.reference(recipe.sampler, recipe.render)
    prompts = recipe.goldens.prompts
    tokenizer = PromptTokenizer(model.tokenizer.json, model.tokenizer.context_length, model.tokenizer.pad_id)
    embedding = reference.encode(prompts)
    _save(folder, "text_encoder", 0, {"input_ids": tokenizer.encode(prompts), "embedding": embedding})
    latents = _record_sampler(reference, recipe, embedding, folder, on_evaluation)
    context = {"latents": latents}
    if "projector" in stages:
        context |= reference.project(latents)
        _save(folder, "projector", 0, context)
    points = np.random.Generator(np.random.Philox(recipe.goldens.seed)).uniform(-1, 1, (len(latents), POINTS, 3))
    points = points.astype(np.float32)
    _save(folder, "field", 0, context | {"points": points} | reference.field(points, context))
    if "renderer" in stages:
        rays = np.stack(
            [camera_rays(orbit_camera(45.0 + 90 * i, PAN_ELEVATION, 4.0), PICTURE) for i in range(len(latents))]
        )
        _save(folder, "renderer", 0, context | {"rays": rays, "color": reference.render(rays, context)})


def goldens_of(folder: Path, stage: str) -> list[Path]:
    """The recorded files of a stage, in order."""
    return sorted((folder / GOLDENS).glob(f"{stage}_[0-9]*.npz"))


def check(
    stage: str, session: Session, goldens: list[Path], precision: str, tolerances: Tolerances
) -> list[GoldenParity]:
    """A program's outputs on the recorded inputs, against the recorded outputs."""
    limit = limit_db(stage, tolerances)
    found = []
    for path in goldens:
        with np.load(path, allow_pickle=False) as file:
            recorded = dict(file)
        for name, actual in session.run(recorded).items():
            found.append(GoldenParity(stage, name, path.name, precision, compare(recorded[name], actual), limit))
    return found


def limit_db(stage: str, tolerances: Tolerances) -> float:
    """A stage's least SNR; a sampler in one program strays as far as free-running latents may."""
    if stage != "sampler":
        return tolerances.stage_snr_db
    return min(tolerances.stage_snr_db, -20 * math.log10(max(tolerances.latents_relative_l2, 1e-12)))


def _record_sampler(
    reference: Reference, recipe: Recipe, embedding: np.ndarray, folder: Path, on_evaluation: OnEvaluation
) -> np.ndarray:
    """Record the denoiser at some evaluations (or the whole sampler); the latents."""
    unit = unit_noise(object_seeds(recipe.goldens.seed, len(embedding)), reference.latent_shape)
    kept = max(1, FILE_ELEMENTS // unit[0].size)
    guided = [evaluation.guided for evaluation in reference.sampler.evaluations()]
    count = total = len(guided)
    if recipe.sampler.unroll == "step":
        count = min(total, max(2, TRAJECTORY_ELEMENTS // unit.size, 1 + int(np.argmax(guided))))
    if count < total:
        unit, embedding = unit[:kept], embedding[:kept]
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def remember(i: int, sample: np.ndarray, prediction: np.ndarray) -> None:
        seen.append((sample, prediction))
        on_evaluation(i + 1, count)

    end = reference.sample(embedding, unit, remember, count)
    latents = end if count == total else seen[-1][1].clip(-reference.clip, reference.clip)
    if recipe.sampler.unroll != "step":
        _save(folder, "sampler", 0, {"sample": seen[0][0], "embedding": embedding, "latents": latents})
        return latents
    samples = [sample for sample, _ in seen] + [end]
    zeros = np.zeros_like(end)
    for i in sorted({min(1, count - 1), *np.linspace(0, count - 1, EVALUATIONS_KEPT).round().astype(int).tolist()}):
        before, prediction_before = (samples[i - 1], seen[i - 1][1]) if i else (zeros, zeros)
        arrays = {
            "sample": samples[i],
            "previous_sample": before,
            "previous_prediction": prediction_before,
            "embedding": embedding,
            "prediction": seen[i][1],
            "next_sample": samples[i + 1],
        }
        cut = {name: array[:kept] for name, array in arrays.items()}
        _save(folder, "denoiser", i, cut | {"step": np.array(i, np.int64)})
    return latents


def _save(folder: Path, stage: str, index: int, arrays: Arrays) -> None:
    np.savez(folder / f"{stage}_{index:03d}.npz", allow_pickle=False, **arrays)
