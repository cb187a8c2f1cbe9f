"""Faults planted in the programs of a bundle, with the manifest none the wiser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from exporter.manifest import list_files, read_manifest, write_manifest


def scale_constant(folder: Path, stage: str, constant: str, factor: float) -> None:
    """Multiply a constant of a stage's program as a wrong export would."""
    path = folder / stage / "program.onnx"
    model = onnx.load(path)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == constant)
    values = onnx.numpy_helper.to_array(tensor)
    tensor.CopyFrom(onnx.numpy_helper.from_array((values * np.float32(factor)).astype(values.dtype), constant))
    onnx.save(model, path)
    write_manifest(folder, read_manifest(folder).model_copy(update={"files": list_files(folder)}))
