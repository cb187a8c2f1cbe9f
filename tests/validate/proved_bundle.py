"""The toy bundle with goldens, a whole recipe, and a family whose reference is the untouched bundle itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from exporter.errors import RecipeError
from exporter.families import registry
from exporter.manifest import Manifest, list_files, read_manifest, write_manifest
from exporter.pipeline.pipeline import Pipeline
from exporter.runtime.bundle import Bundle
from exporter.runtime.run import make, requests_of, unit_noise

PROMPTS = ["a red ball", "a blue ball"]
TOLERANCES = {
    "stage_snr_db": 90.0, "trajectory_snr_db": 90.0, "latents_relative_l2": 1e-4, "mesh_iou": 0.999, "chamfer": 1e-4,
    "render_psnr_db": 50.0,
}  # fmt: skip
RECIPE: dict[str, Any] = {
    "name": "toy",
    "model": {"family": "toy", "weights": "toy"},
    "sampler": {"scheduler": "euler", "steps": 3, "guidance_scale": 1.0},
    "quantization": {"rules": []},
    "goldens": {"prompts": PROMPTS, "seed": 0},
    "validation": {"prompts": 4, "seeds": 1, "max_drop": 0.0, "tolerances": {"fp32": TOLERANCES}},
}


def prove(folder: Path, trained: bool = True) -> Path:
    """Adds goldens and the recipe to a toy bundle; gives the folder."""
    opened = Bundle.open(folder, verify=False)
    (folder / "goldens").mkdir()
    for stage, arrays in _recordings(opened).items():
        np.savez(folder / "goldens" / f"{stage}.npz", **arrays)
    weights = opened.manifest.weights.model_copy(update={"trained": trained})
    goldens = {stage: [f"goldens/{stage}.npz"] for stage in opened.manifest.stages}
    recipe = RECIPE | {"sampler": RECIPE["sampler"] | {"unroll": opened.manifest.stages["denoiser"].sampling.unroll}}
    _rewrite(folder, opened.manifest, recipe=recipe, weights=weights, goldens=goldens)
    return folder


def break_program(folder: Path, stage: str, constant: str, factor: float) -> None:
    """Multiplies a constant of a program as a wrong export would, with the manifest none the wiser."""
    path = folder / f"{stage}.onnx"
    model = onnx.load(path)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == constant)
    tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * np.float32(factor), constant))
    onnx.save(model, path)
    _rewrite(folder, read_manifest(folder))


@contextmanager
def toy_family(pristine: Path, digest: str = "0" * 64, pipeline: Pipeline | None = None) -> Iterator[None]:
    """Registers the family for as long as the context lasts."""

    class Loaded:
        weights_digest = digest

        def original(self, recipe: Any) -> Bundle:
            return Bundle.open(pristine)

        def pipeline(self, recipe: Any) -> Pipeline:
            if pipeline is None:
                raise RecipeError("the toy has no modules to export again")
            return pipeline

    before = dict(registry._loaders)
    registry.register("toy", lambda weights: Loaded())
    try:
        yield
    finally:
        registry._loaders.clear()
        registry._loaders.update(before)


def fresh(folder: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return shutil.copytree(folder, tmp_path / "copy")


def _rewrite(folder: Path, manifest: Manifest, **changes: Any) -> None:
    write_manifest(folder, manifest.model_copy(update={**changes, "files": list_files(folder)}))


def _recordings(bundle: Bundle) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    run = make(bundle, requests_of(bundle.pipeline, PROMPTS), [0, 1])
    latents, embedding = run["latents"], run["embedding"]
    weights = {name: run[name] for name in ("radius", "paint")}
    whole = bundle.manifest.stages["denoiser"].is_whole_sampler
    state = {"sample": unit_noise([1, 2], (2, 4)), "embedding": embedding}
    if not whole:
        state |= {"previous_sample": latents, "previous_prediction": latents, "step": np.array(1, np.int64)}
    given = {
        "text_encoder": {"input_ids": run["input_ids"]},
        "denoiser": state,
        "projector": {"latents": latents},
        "field": {"points": rng.uniform(-1, 1, (2, 20, 3)).astype(np.float32), **weights},
        "renderer": {"rays": rng.normal(size=(2, 10, 2, 3)).astype(np.float32), **weights},
    }  # fmt: skip
    return {stage: given[stage] | bundle.session(stage).run(given[stage]) for stage in bundle.manifest.stages}
