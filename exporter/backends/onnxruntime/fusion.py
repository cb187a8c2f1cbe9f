"""Does ONNX Runtime multiply a quantized program in integers? A Q/DQ pair that it does not fuse costs time instead."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import onnx
import onnxruntime as ort

from exporter.errors import ValidationFailed
from exporter.graphs.stored_integers import FLOAT_PRODUCTS, all_nodes, integer_products

_FUSED_WITH_ADD = "/MatMulAddFusion"


def require_fused(program: Path) -> Counter[str]:
    """The operators of a program after ONNX Runtime's optimization.

    Raises ValidationFailed that names the products whose stored integers are turned back into floats first.
    """
    wanted = {node.name for node in integer_products(onnx.load(program, load_external_data=False).graph)}
    nodes = list(all_nodes(optimized(program).graph))
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
