"""A web bundle of a pipeline unlike Shap-E's: two texts, two samplers of latents of rank 3 and 4, one whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from exporter.manifest import Manifest, StagePart, WeightsPart, list_files, write_manifest
from exporter.pipeline.assets import ImageAsset, MeshAsset
from exporter.pipeline.inputs import TextInput
from exporter.pipeline.pipeline import Volume
from exporter.pipeline.sampling import Sampling
from exporter.pipeline.tensor import TensorSpec
from exporter.targets.target import load_target

WORDS = ["!", "<begin>", "<end>", "round", "flat", "calm", "wild"]
TOKENIZER = "words.json"
HEADER = '<ir_version: 10, opset_import: ["" : 20]>'
BLOB = TensorSpec("blob", "float32", ("batch", 2, 4))
CLOUD = TensorSpec("cloud", "float32", ("batch", 3, 2, 2))
KINDS = {"words": "encode", "mood": "encode", "coarse": "sample", "fine": "sample", "bend": "map", "shape": "field",
         "eye": "render"}  # fmt: skip
# A renderer that takes nothing but rays.
GLOW = {"glow": "render"}
UNROLL = {"coarse": ("step", BLOB), "fine": ("full", CLOUD)}

PROGRAMS = {
    "words": """words (int64[batch, 6] word_ids) => (float[batch, 6, 4] tokens) {
        depth = Constant<value_int: int = 4>()
        on_off = Constant<value_floats: floats = [0.0, 0.5]>()
        size = Constant<value_int: int = 4>()
        code = Mod(word_ids, size)
        tokens = OneHot(code, depth, on_off)
    }""",
    "mood": """mood (int64[batch, 3] mood_ids) => (float[batch, 4] feeling) {
        depth = Constant<value_int: int = 4>()
        on_off = Constant<value_floats: floats = [0.1, 0.7]>()
        size = Constant<value_int: int = 4>()
        axis = Constant<value_ints: ints = [1]>()
        code = Mod(mood_ids, size)
        rows = OneHot(code, depth, on_off)
        feeling = ReduceMean<keepdims: int = 0>(rows, axis)
    }""",
    "coarse": """coarse (float[batch, 2, 4] sample, float[batch, 2, 4] previous_sample,
        float[batch, 2, 4] previous_prediction, float[batch, 6, 4] tokens, int64 step)
        => (float[batch, 2, 4] next_sample, float[batch, 2, 4] prediction) {
        axis = Constant<value_ints: ints = [1]>()
        told = ReduceMean<keepdims: int = 1>(tokens, axis)
        both = Add(sample, told)
        prediction = Tanh(both)
        coefficients = Constant<value_floats: floats = [0.9, 0.5, 0.2]>()
        count = Constant<value_int: int = 3>()
        row = Mod(step, count)
        coefficient = Gather(coefficients, row)
        kept = Mul(sample, coefficient)
        tenth = Constant<value_float: float = 0.1>()
        earlier = Mul(previous_sample, tenth)
        fifth = Constant<value_float: float = -0.2>()
        predicted = Mul(previous_prediction, fifth)
        next_sample = Sum(kept, prediction, earlier, predicted)
    }""",
    "fine": """fine (float[batch, 3, 2, 2] sample, float[batch, 2, 4] blob, float[batch, 4] feeling)
        => (float[batch, 3, 2, 2] cloud) {
        axis = Constant<value_ints: ints = [1]>()
        square = Constant<value_ints: ints = [-1, 1, 2, 2]>()
        row = ReduceMean<keepdims: int = 0>(blob, axis)
        felt = Add(row, feeling)
        raised = Reshape(felt, square)
        both = Add(sample, raised)
        cloud = Tanh(both)
    }""",
    "bend": """bend (float[batch, 3, 2, 2] cloud, float[batch, 2, 4] blob)
        => (float[batch, 1, 3] centre, float[batch, 1, 3] tint) {
        row = Constant<value_ints: ints = [0, 1, 3]>()
        axes = Constant<value_ints: ints = [2, 3]>()
        all = Constant<value_ints: ints = [1, 2]>()
        fifth = Constant<value_float: float = 0.2>()
        mean = ReduceMean<keepdims: int = 0>(cloud, axes)
        far = Reshape(mean, row)
        centre = Mul(far, fifth)
        shift = ReduceMean<keepdims: int = 1>(blob, all)
        shifted = Add(far, shift)
        tint = Sigmoid(shifted)
    }""",
    "shape": """shape (float[batch, points, 3] places, float[batch, 1, 3] centre, float[batch, 1, 3] tint)
        => (float[batch, points, 3] shade, float[batch, points, 1] inside, float[batch, points, 1] thickness) {
        axis = Constant<value_ints: ints = [2]>()
        half = Constant<value_float: float = 0.5>()
        away = Sub(places, centre)
        distance = ReduceL2<keepdims: int = 1>(away, axis)
        depth = Sub(half, distance)
        inside = Tanh(depth)
        thickness = Relu(inside)
        mixed = Add(away, tint)
        shade = Sigmoid(mixed)
    }""",
    "eye": """eye (float[batch, rays, 2, 3] lines, float[batch, 1, 3] tint) => (float[batch, rays, 3] seen) {
        axis = Constant<value_ints: ints = [2]>()
        strength = ReduceSum<keepdims: int = 0>(lines, axis)
        mixed = Add(strength, tint)
        seen = Sigmoid(mixed)
    }""",
    "glow": """glow (float[batch, rays, 2, 3] lines) => (float[batch, rays, 3] seen) {
        axis = Constant<value_ints: ints = [2]>()
        strength = ReduceSum<keepdims: int = 0>(lines, axis)
        seen = Sigmoid(strength)
    }""",
}


def write_foreign_bundle(folder: Path, stages: Sequence[str] = tuple(KINDS)) -> Path:
    """Writes the bundle, of these stages alone, the last of them a renderer, and gives its folder."""
    folder.mkdir(exist_ok=True)
    (folder / TOKENIZER).write_text(_tokenizer().to_str())
    inputs = {
        "text": TextInput(tensor="word_ids", file=TOKENIZER, length=6, pad_id=0),
        "style": TextInput(tensor="mood_ids", file=TOKENIZER, length=3, pad_id=0),
    }
    assets = {
        "mesh": MeshAsset(stage="shape", grid=20, extraction="coarse_to_fine"),
        "image": ImageAsset(stage=stages[-1], size=16),
    }
    parts = {name: _write_program(folder, name) for name in stages}
    manifest = Manifest(
        name="foreign/web",
        recipe={"name": "foreign"},
        recipe_digest="0" * 64,
        weights=WeightsPart(source="foreign", digest="0" * 64, trained=True),
        target=load_target("web").model_dump(mode="json"),
        toolchain={"onnx": "1"},
        files=list_files(folder),
        stages=parts,
        inputs=inputs if "words" in stages else {},
        assets={name: asset for name, asset in assets.items() if asset.stage in stages},
        goldens={},
    )
    write_manifest(folder, manifest)
    return folder


def _write_program(folder: Path, name: str) -> StagePart:
    model = onnx.parser.parse_model(HEADER + PROGRAMS[name])
    onnx.checker.check_model(model)
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    return StagePart(
        kind=(KINDS | GLOW)[name],
        program=path.name,
        inputs=[_spec(tensor) for tensor in model.graph.input],
        outputs=[_spec(tensor) for tensor in model.graph.output],
        sampling=_sampling(folder, name) if name in UNROLL else None,
        volume=Volume(distance="inside", density="thickness", color="shade") if name == "shape" else None,
        precision="fp32",
        size=path.stat().st_size,
    )


def _sampling(folder: Path, name: str) -> Sampling:
    unroll, latents = UNROLL[name]
    table = f"{name}.json"
    (folder / table).write_text("{}")
    return Sampling(
        scheduler="ddim",
        steps=3,
        evaluations=3,
        guidance_scale=1.0,
        clamp="diffusers",
        unroll=unroll,
        init_noise_sigma=1.5,
        latents=latents,
        table=table,
    )


def _spec(tensor: onnx.ValueInfoProto) -> TensorSpec:
    kind = tensor.type.tensor_type
    shape = tuple(dim.dim_param or dim.dim_value for dim in kind.shape.dim)
    return TensorSpec(tensor.name, {1: "float32", 7: "int64"}[kind.elem_type], shape)


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="!"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["<begin>", "<end>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<begin> $A <end>", special_tokens=[("<begin>", 1), ("<end>", 2)]
    )
    return tokenizer
