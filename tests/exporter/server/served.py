"""Bundles for the tests of servers, made of the toy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx

from exporter.manifest import Manifest, list_files, read_manifest, write_manifest
from exporter.pipeline.inputs import PictureInput
from exporter.pipeline.tensor import TensorSpec
from exporter.targets.target import load_target

SIZE = 8
ENCODER = """<ir_version: 10, opset_import: ["" : 20]>
picture_encoder (float[batch, 3, 8, 8] pixels) => (float[batch, 8] embedding) {
    axes = Constant<value_ints: ints = [2, 3]>()
    color = ReduceMean<keepdims: int = 0>(pixels, axes)
    spread = MatMul(color, table)
    embedding = Add(spread, radius)
}"""


def write_picture_bundle(toy: Path, folder: Path) -> Path:
    """The toy with an encoder of pictures in place of its text's: a ball of the picture's mean colour."""
    shutil.copytree(toy, folder)
    manifest = read_manifest(folder)
    model = onnx.parser.parse_model(ENCODER)
    table, radius = np.zeros((3, 8), np.float32), np.array([0.5, 0, 0, 0, 0, 0, 0, 0], np.float32)
    table[:, 4:7] = np.eye(3)
    tensors = {"table": table, "radius": radius}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, key) for key, value in tensors.items())
    onnx.save(model, folder / "text_encoder.onnx")
    source = PictureInput(
        tensor="pixels", size=SIZE, resampling="bilinear", mean=(0, 0, 0), std=(1, 1, 1), background=(255, 255, 255)
    )
    pixels = TensorSpec("pixels", "float32", ("batch", 3, SIZE, SIZE))
    encoder = manifest.stages["text_encoder"].model_copy(update={"inputs": [pixels]})
    stages = manifest.stages | {"text_encoder": encoder}
    return rewritten(folder, manifest, inputs={"picture": source}, stages=stages)


def write_page_bundle(toy: Path, folder: Path) -> Path:
    """The toy as a bundle of the target web, with a page, one package that its client imports and one that it does
    not."""
    shutil.copytree(toy, folder)
    client = folder / "client"
    client.mkdir()
    (client / "index.html").write_text("<!doctype html><title>toy</title>")
    (client / "page.js").write_text("export {};")
    imported = {"onnxruntime-web": "1.0.0", "@huggingface/tokenizers": "1.0.0"}
    (client / "package.json").write_text(json.dumps({"dependencies": imported}))
    rewritten(folder, read_manifest(folder), target=load_target("web").model_dump(mode="json"))
    for name in ("onnxruntime-web/dist/ort.wasm", "@huggingface/tokenizers/tokenizers.mjs", "sharp/secret.js"):
        (client / "node_modules" / name).parent.mkdir(parents=True)
        (client / "node_modules" / name).write_bytes(b"of a package")
    (client / "packages").mkdir()
    (client / "packages/onnxruntime-web.js").write_text("export {};")
    (folder / "notes.txt").write_text("not of the bundle")
    return folder


def rewritten(folder: Path, manifest: Manifest, **changed: object) -> Path:
    """Puts another manifest over the files that are there now."""
    write_manifest(folder, manifest.model_copy(update={**changed, "files": list_files(folder)}))
    return folder
