"""Intel's Neural Compressor for ONNX: static quantization with its defaults."""

from pathlib import Path

from onnx_neural_compressor.quantization import config
from onnx_neural_compressor.quantization import quantize as quantize_onnx
from recorded import Recorded, main


def quantize(program: Path, output: Path, recorded: Recorded) -> None:
    settings = config.StaticQuantConfig(calibration_data_reader=recorded, execution_provider="CPUExecutionProvider")
    quantize_onnx(str(program), str(output), settings)


main(quantize)
