"""A bundle of a few kilobytes whose model is a coloured ball: its radius and colour come from the prompt's tokens."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from exporter.manifest import (
    Manifest,
    MeshPart,
    RenderPart,
    SamplerPart,
    StagePart,
    TensorPart,
    TokenizerPart,
    WeightsPart,
    list_files,
    write_manifest,
)
from exporter.targets.target import load_target

CONTEXT = 6
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
    "sampler": """sampler (float[batch, 2, 4] sample, float[batch, 8] embedding) => (float[batch, 2, 4] latents) {
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
STAGES = {"step": ["text_encoder", "denoiser", "projector", "field", "renderer"],
          "full": ["text_encoder", "sampler", "projector", "field"]}  # fmt: skip


def write_toy_bundle(folder: Path, unroll: str = "step", steps: int = 3) -> Path:
    """Writes the bundle and gives its folder; the `full` one has no renderer."""
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "tokenizer/tokenizer.json").write_text(_tokenizer().to_str())
    (folder / "sampler.json").write_text("{}")
    stages = {name: _write_program(folder, name, steps) for name in STAGES[unroll]}
    recipe = {"name": "toy"}
    manifest = Manifest(
        name="toy/cpu",
        recipe=recipe,
        recipe_digest=hashlib.sha256(str(recipe).encode()).hexdigest(),
        weights=WeightsPart(source="toy", digest="0" * 64, trained=True),
        target=load_target("cpu").model_dump(mode="json"),
        toolchain={"onnx": "1"},
        files=list_files(folder),
        stages=stages,
        tokenizer=TokenizerPart(context_length=CONTEXT, pad_id=0),
        sampler=SamplerPart(
            scheduler="euler", steps=steps, evaluations=steps, guidance_scale=1.0, clamp="diffusers", unroll=unroll,
            init_noise_sigma=2.0, latent_shape=[2, 4],
        ),
        mesh=MeshPart(grid=24, extraction="coarse_to_fine"),
        render=RenderPart(size=16, coarse_samples=4, fine_samples=4),
        goldens={},
    )  # fmt: skip
    write_manifest(folder, manifest)
    return folder


def _write_program(folder: Path, name: str, steps: int) -> StagePart:
    model = onnx.parser.parse_model(HEADER + PROGRAMS[name])
    table = np.zeros((len(WORDS), 8), np.float32)
    for word, meaning in MEANINGS.items():
        table[WORDS.index(word)] = meaning
    constants = {"text_encoder": {"table": table}}.get(name, {})
    if name == "denoiser":
        constants = {"coefficients": np.array([0.5] * (steps - 1) + [0.0], np.float32)}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, key) for key, value in constants.items())
    onnx.checker.check_model(model)
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    inputs, outputs = ([_part(tensor) for tensor in side] for side in (model.graph.input, model.graph.output))
    return StagePart(program=path.name, inputs=inputs, outputs=outputs, precision="fp32", size=path.stat().st_size)


def _part(tensor: onnx.ValueInfoProto) -> TensorPart:
    kind = tensor.type.tensor_type
    shape = [dim.dim_param or dim.dim_value for dim in kind.shape.dim]
    return TensorPart(name=tensor.name, dtype={1: "float32", 7: "int64"}[kind.elem_type], shape=shape)


def _tokenizer() -> Tokenizer:
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["<begin>", "<end>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<begin> $A <end>", special_tokens=[("<begin>", 1), ("<end>", 2)]
    )
    return tokenizer
