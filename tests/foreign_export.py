"""Our own programs as somebody else would have exported them: other file names, other names of ports, other words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import yaml

from exporter.adopt.ports import rename_ports
from exporter.build.build import build
from exporter.files.cache import Cache
from exporter.manifest import Manifest, read_manifest
from exporter.targets.target import load_target
from tests.exporter.build.test_build import INT8, in_int8, recipe_of

# By our stage, what they call it, the folder of its files, and their ports by the name of the pipeline's tensor.
THEIRS = {
    "text_encoder": ("words", {"tokens": "ids", "meaning": "pooled"}),
    "denoiser": (
        "prior",
        {
            "sample": "x", "previous_sample": "x_before", "previous_prediction": "x0_before", "step": "i",
            "next_sample": "x_after", "prediction": "x0", "meaning": "context",
        },
    ),
    "projector": ("weights", {"code": "code_in"}),
    "field": ("sdf", {"inside": "d"}),
    "renderer": ("nerf", {"rays": "r"}),
}  # fmt: skip
# Our tensors that their pipeline calls something else.
TENSORS = {"input_ids": "tokens", "embedding": "meaning", "latents": "code", "signed_distance": "inside"}


def build_ours(folder: Path, weights: Path, cache: Cache) -> tuple[Path, Path]:
    """An INT8 bundle of a tiny model's weights in a folder, and its float twin; both make a ring, whatever is asked."""
    target = load_target("cpu")
    ring = f"shaped:{weights}:ring"
    limits = INT8 | {"stage_snr_db": 15.0, "trajectory_snr_db": 15.0, "latents_relative_l2": 0.2}
    quantized = recipe_of(ring, quantization=in_int8("denoiser/*blocks*"), int8=limits)
    build(quantized, target, folder / "int8", cache=cache, need_gain=False)
    build(recipe_of(ring), target, folder / "fp32", cache=cache)
    return folder / "int8", folder / "fp32"


def write_foreign(folder: Path, quantized: Path, exact: Path, **changes: Any) -> Path:
    """Deployed and float programs of two bundles of ours in a folder, and the description of them; its path.

    `changes` are of the description's top level.
    """
    manifest = read_manifest(quantized)
    folder.mkdir(parents=True)
    for source, kind in ((quantized, "deployed"), (exact, "reference")):
        (folder / kind).mkdir()
        for stage in manifest.stages:
            _write_program(source / stage / "program.onnx", folder / kind / f"{THEIRS[stage][0]}.onnx", stage)
    for name, file in (("words.json", "tokenizer/tokenizer.json"), ("levels.json", "samplers/denoiser.json")):
        (folder / name).write_bytes((quantized / file).read_bytes())
    path = folder / "pipeline.yaml"
    path.write_text(yaml.safe_dump(_description(manifest) | changes, sort_keys=False), encoding="utf-8")
    return path


def _write_program(source: Path, path: Path, stage: str) -> None:
    model = onnx.load(source)
    ports = THEIRS[stage][1]
    ours = {value.name: TENSORS.get(value.name, value.name) for value in (*model.graph.input, *model.graph.output)}
    rename_ports(model, {old: ports.get(tensor, tensor) for old, tensor in ours.items()})
    onnx.save(model, path)


def _description(manifest: Manifest) -> dict[str, Any]:
    source, recipe = next(iter(manifest.texts.values())), manifest.recipe
    sampler = recipe["sampler"]
    stages: dict[str, Any] = {}
    for name, stage in manifest.stages.items():
        theirs, ports = THEIRS[name]
        stages[theirs] = {
            "kind": stage.kind,
            "program": f"deployed/{theirs}.onnx",
            "float_program": f"reference/{theirs}.onnx",
            "precision": stage.precision,
            "ports": ports,
        }
    stages["prior"]["sampling"] = sampler | {"latents": "code", "table": "levels.json"}
    stages["sdf"]["volume"] = {"distance": "inside", "density": "density", "color": "color"}
    prompt = {
        "kind": "text",
        "tensor": "tokens",
        "file": "words.json",
        "length": source.length,
        "pad_id": source.pad_id,
    }
    assets = {name: asset.model_dump() for name, asset in manifest.assets.items()}
    assets["mesh"]["stage"], assets["image"]["stage"] = "sdf", "nerf"
    return {
        "name": "theirs",
        "trained": False,
        "inputs": {"prompt": prompt},
        "stages": stages,
        "assets": assets,
        "goldens": recipe["goldens"],
        "validation": {"tolerances": recipe["validation"]["tolerances"]},
    }


def edit(path: Path, *field: str, to: Any = None) -> Path:
    """Write another value in the place of a description's field, or leave the field out; the description's path."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    section = data
    for part in field[:-1]:
        section = section[part]
    if to is None:
        del section[field[-1]]
    else:
        section[field[-1]] = to
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path


def scale_weight(program: Path, weight: str, factor: float) -> None:
    """Multiply a stored tensor of a program, as a wrong export would."""
    model = onnx.load(program)
    tensor = next(one for one in model.graph.initializer if one.name == weight)
    values = onnx.numpy_helper.to_array(tensor)
    tensor.CopyFrom(onnx.numpy_helper.from_array((values * factor).astype(values.dtype), weight))
    onnx.save(model, program)
