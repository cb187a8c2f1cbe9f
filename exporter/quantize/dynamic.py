"""INT8 by ONNX Runtime's dynamic quantizer: weights per channel, activations measured at run time.

Weights take 7 bits of the 8: x86-64 without VNNI adds pairs of U8·S8 products in 16 bits, which saturate at full range
(a layer with a strong channel fell from 43 dB to 12 dB; with 7 bits it has 41 dB on every processor).

A program with batched weights (three dimensions, as the projector's) gets one scale for each whole weight: the
quantizer cannot write per-channel scales of those in the form that ONNX Runtime's kernel takes.
"""

from __future__ import annotations

import logging
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from exporter.trace.onnx import EXTERNAL_ABOVE_BYTES, PROGRAM

_QUANTIZED = ["MatMul", "Gemm"]


def quantize(program: Path, folder: Path) -> Path:
    """Write the program with its constant MatMul weights in INT8 into `folder`; its path.

    Activations become UINT8, the pair that runs fastest on x86-64 and ARM64.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = onnx.load(program)
    del model.graph.value_info[:]
    plain = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)
    try:
        quantize_dynamic(
            model,
            folder / PROGRAM,
            op_types_to_quantize=_QUANTIZED,
            per_channel=not _has_batched_weight(model),
            reduce_range=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=_bytes(model) / 4 > EXTERNAL_ABOVE_BYTES,
            extra_options={"MatMulConstBOnly": True},
        )
    finally:
        logging.getLogger().setLevel(plain)
    return folder / PROGRAM


def _has_batched_weight(model: onnx.ModelProto) -> bool:
    ranks = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    return any(node.op_type == "MatMul" and ranks.get(node.input[1], 0) > 2 for node in model.graph.node)


def _bytes(model: onnx.ModelProto) -> int:
    return sum(len(tensor.raw_data) for tensor in model.graph.initializer)
