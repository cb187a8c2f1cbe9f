"""Does ONNX Runtime multiply a quantized program in integers? A Q/DQ pair that it does not fuse costs time instead."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnxruntime as ort

from exporter.errors import ValidationFailed
from exporter.program_files import all_graphs

FLOAT_PRODUCTS = ("MatMul", "Gemm", "FusedMatMul", "FusedGemm")
_FUSED_WITH_ADD = "/MatMulAddFusion"
INTEGER_PRODUCTS = ("MatMulIntegerToFloat", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulNBits", "QGemm")


def require_fused(program: Path) -> Counter[str]:
    """The operators of a program after ONNX Runtime's optimization.

    Raises ValidationFailed that names the products whose stored integers are turned back into floats first.
    """
    wanted = {node.name for node in _integer_products(onnx.load(program, load_external_data=False).graph)}
    nodes = list(_all_nodes(optimized(program).graph))
    floats = {node.name.removesuffix(_FUSED_WITH_ADD) for node in nodes if node.op_type in FLOAT_PRODUCTS}
    if unfused := sorted(wanted & floats):
        rest = f" and {len(unfused) - 6} more" if len(unfused) > 6 else ""
        raise ValidationFailed(
            f"ONNX Runtime {ort.__version__} leaves {len(unfused)} of {len(wanted)} quantized products in floating "
            f"point: {', '.join(unfused[:6])}{rest}. They would be slower than unquantized; choose another precision "
            "for these layers"
        )
    return Counter(node.op_type for node in nodes)


def optimized(program: Path) -> onnx.ModelProto:
    """The graph that ONNX Runtime's CPU provider makes of a program, without its large weights."""
    with tempfile.TemporaryDirectory(dir=program.parent, prefix=".optimized-") as folder:
        settings = ort.SessionOptions()
        settings.log_severity_level = 3
        settings.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        settings.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights.bin")
        settings.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
        ort.InferenceSession(program, settings, providers=["CPUExecutionProvider"])
        return onnx.load(settings.optimized_model_filepath, load_external_data=False)


def _integer_products(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Products of integers, and those that read stored integers through a DequantizeLinear."""
    nodes = list(_all_nodes(graph))
    stored = {tensor.name for inner in all_graphs(graph) for tensor in inner.initializer}
    restored = {node.output[0] for node in nodes if node.op_type == "DequantizeLinear" and node.input[0] in stored}
    return [
        node
        for node in nodes
        if node.op_type in INTEGER_PRODUCTS or (node.op_type in FLOAT_PRODUCTS and restored.intersection(node.input))
    ]


def _all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    return (node for inner in all_graphs(graph) for node in inner.node)
