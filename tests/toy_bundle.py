"""A bundle of a few kilobytes whose model is a coloured ball: its radius and colour come from the prompt's tokens."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from exporter.manifest import Manifest, StagePart, WeightsPart, list_files, write_manifest
from exporter.pipeline.assets import ImageAsset, MeshAsset
from exporter.pipeline.inputs import TextInput
from exporter.pipeline.pipeline import Volume
from exporter.pipeline.sampling import Sampling
from exporter.pipeline.tensor import TensorSpec
from exporter.targets.target import load_target

CONTEXT = 6
TOKENIZER = "tokenizer/tokenizer.json"
TABLE = "samplers/denoiser.json"
WORDS = ["!", "<begin>", "<end>", "red", "green", "blue", "ball", "nothing", "a"]
# Latents [2, 4]: row 0 starts with the radius, row 1 with the colour.
MEANINGS = {"red": [0, 0, 0, 0, 6, 0, 0, 0], "green": [0, 0, 0, 0, 0, 6, 0, 0], "blue": [0, 0, 0, 0, 0, 0, 6, 0],
            "ball": [3, 0, 0, 0, 0, 0, 0, 0], "nothing": [-60, 0, 0, 0, 0, 0, 0, 0]}  # fmt: skip
HEADER = '<ir_version: 10, opset_import: ["" : 20]>'

PROGRAMS = {
    "text_encoder": """text_encoder (int64[batch, tokens] input_ids) => (float[batch, 8] embedding) {
        rows = Gather(table, input_ids)
        axis = Constant<value_ints: ints = [1]>()
        embedding = ReduceMean<keepdims: int = 0>(rows, axis)
    }""",
    "denoiser": """denoiser (float[batch, 2, 4] sample, float[batch, 2, 4] previous_sample,
        float[batch, 2, 4] previous_prediction, float[batch, 8] embedding, int64 step)
        => (float[batch, 2, 4] next_sample, float[batch, 2, 4] prediction) {
        shape = Constant<value_ints: ints = [-1, 2, 4]>()
        folded = Reshape(embedding, shape)
        thousandth = Constant<value_float: float = 0.001>()
        noisy = Mul(sample, thousandth)
        prediction = Add(folded, noisy)
        coefficient = Gather(coefficients, step)
        kept = Mul(sample, coefficient)
        one = Constant<value_float: float = 1.0>()
        rest = Sub(one, coefficient)
        added = Mul(prediction, rest)
        next_sample = Add(kept, added)
    }""",
    "whole": """denoiser (float[batch, 2, 4] sample, float[batch, 8] embedding) => (float[batch, 2, 4] latents) {
        shape = Constant<value_ints: ints = [-1, 2, 4]>()
        folded = Reshape(embedding, shape)
        thousandth = Constant<value_float: float = 0.001>()
        noisy = Mul(sample, thousandth)
        latents = Add(folded, noisy)
    }""",
    "projector": """projector (float[batch, 2, 4] latents) => (float[batch, 1, 1] radius, float[batch, 1, 3] paint) {
        zero = Constant<value_ints: ints = [0, 0]>()
        one = Constant<value_ints: ints = [1, 0]>()
        corner = Constant<value_ints: ints = [1, 1]>()
        row_end = Constant<value_ints: ints = [2, 3]>()
        axes = Constant<value_ints: ints = [1, 2]>()
        radius = Slice(latents, zero, corner, axes)
        paint = Slice(latents, one, row_end, axes)
    }""",
    "field": """field (float[batch, points, 3] points, float[batch, 1, 1] radius, float[batch, 1, 3] paint)
        => (float[batch, points, 1] signed_distance, float[batch, points, 1] density, float[batch, points, 3] color) {
        axis = Constant<value_ints: ints = [2]>()
        distance = ReduceL2<keepdims: int = 1>(points, axis)
        depth = Sub(radius, distance)
        signed_distance = Tanh(depth)
        density = Relu(signed_distance)
        zero = Constant<value_float: float = 0.0>()
        nothing = Mul(points, zero)
        color = Add(nothing, paint)
    }""",
    "renderer": """renderer (float[batch, rays, 2, 3] rays, float[batch, 1, 3] paint) => (float[batch, rays, 3] color) {
        axis = Constant<value_ints: ints = [2]>()
        strength = ReduceMax<keepdims: int = 0>(rays, axis)
        zero = Constant<value_float: float = 0.0>()
        nothing = Mul(strength, zero)
        color = Add(nothing, paint)
    }""",
}
KINDS = {"text_encoder": "encode", "denoiser": "sample", "projector": "map", "field": "field", "renderer": "render"}


def write_toy_bundle(folder: Path, unroll: str = "step", steps: int = 3, target: str = "cpu") -> Path:
    """Writes the bundle and gives its folder; the `full` one has no renderer."""
    (folder / "tokenizer").mkdir(parents=True)
    (folder / TOKENIZER).write_text(_tokenizer().to_str())
    (folder / TABLE).parent.mkdir()
    (folder / TABLE).write_text("{}")
    names = [name for name in KINDS if unroll == "step" or name != "renderer"]
    stages = {name: _write_program(folder, name, steps, unroll) for name in names}
    assets = {"mesh": MeshAsset(stage="field", grid=24, extraction="coarse_to_fine")}
    if "renderer" in stages:
        assets["image"] = ImageAsset(stage="renderer", size=16)
    recipe = {"name": "toy"}
    manifest = Manifest(
        name=f"toy/{target}",
        recipe=recipe,
        recipe_digest=hashlib.sha256(str(recipe).encode()).hexdigest(),
        weights=WeightsPart(source="toy", digest="0" * 64, trained=True),
        target=load_target(target).model_dump(mode="json"),
        toolchain={"onnx": "1"},
        files=list_files(folder),
        stages=stages,
        inputs={"prompt": TextInput(tensor="input_ids", file=TOKENIZER, length=CONTEXT, pad_id=0)},
        assets=assets,
        goldens={},
    )
    write_manifest(folder, manifest)
    return folder


def without_sampler(stages: dict[str, StagePart]) -> dict[str, StagePart]:
    """The stages of the toy as those of a pipeline that samples nothing: its sampler is called a map."""
    sampler = stages["denoiser"]
    once = {"kind": "map", "sampling": None, "inputs": sampler.takes, "outputs": sampler.makes}
    return stages | {"denoiser": sampler.model_copy(update=once)}


def _write_program(folder: Path, name: str, steps: int, unroll: str) -> StagePart:
    is_whole = name == "denoiser" and unroll != "step"
    model = onnx.parser.parse_model(HEADER + PROGRAMS["whole" if is_whole else name])
    table = np.zeros((len(WORDS), 8), np.float32)
    for word, meaning in MEANINGS.items():
        table[WORDS.index(word)] = meaning
    constants = {"text_encoder": {"table": table}}.get(name, {})
    if name == "denoiser" and not is_whole:
        constants = {"coefficients": np.array([0.5] * (steps - 1) + [0.0], np.float32)}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, key) for key, value in constants.items())
    onnx.checker.check_model(model)
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    inputs, outputs = ([_spec(tensor) for tensor in side] for side in (model.graph.input, model.graph.output))
    return StagePart(
        kind=KINDS[name],
        program=path.name,
        inputs=inputs,
        outputs=outputs,
        sampling=_sampling(steps, unroll) if name == "denoiser" else None,
        volume=Volume(distance="signed_distance", density="density", color="color") if name == "field" else None,
        precision="fp32",
        size=path.stat().st_size,
    )


def _sampling(steps: int, unroll: str) -> Sampling:
    return Sampling(
        scheduler="euler",
        steps=steps,
        evaluations=steps,
        guidance_scale=1.0,
        clamp="diffusers",
        unroll=unroll,
        init_noise_sigma=2.0,
        latents=TensorSpec("latents", "float32", ("batch", 2, 4)),
        table=TABLE,
    )


def _spec(tensor: onnx.ValueInfoProto) -> TensorSpec:
    kind = tensor.type.tensor_type
    shape = tuple(dim.dim_param or dim.dim_value for dim in kind.shape.dim)
    # A text of any length, for which the words of a shape have no name.
    shape = tuple(CONTEXT if size == "tokens" else size for size in shape)
    return TensorSpec(tensor.name, {1: "float32", 7: "int64"}[kind.elem_type], shape)


def _tokenizer() -> Tokenizer:
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["<begin>", "<end>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<begin> $A <end>", special_tokens=[("<begin>", 1), ("<end>", 2)]
    )
    return tokenizer
