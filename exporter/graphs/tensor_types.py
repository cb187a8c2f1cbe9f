"""Element types of what a program computes."""

from __future__ import annotations

import onnx


def tensor_types(model: onnx.ModelProto) -> dict[str, int]:
    """Element types of all tensors that a program computes, from shape inference."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = [*inferred.value_info, *inferred.input, *inferred.output]
    return {value.name: value.type.tensor_type.elem_type for value in values}
