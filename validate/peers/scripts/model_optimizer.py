"""NVIDIA Model-Optimizer's INT8 post-training quantization of ONNX, the rest left in fp32 as ONNX Runtime runs it."""

from pathlib import Path

from modelopt.onnx.quantization import quantize as quantize_onnx
from recorded import Recorded, main


def quantize(program: Path, output: Path, recorded: Recorded) -> None:
    quantize_onnx(
        str(program),
        quantize_mode="int8",
        calibration_data_reader=recorded,
        calibration_eps=["cpu"],
        high_precision_dtype="fp32",
        output_path=str(output),
        log_level="WARNING",
    )


main(quantize)
