"""ONNX Runtime's quantize_static with its defaults, after the preprocessing that its documentation asks for."""

from pathlib import Path

from onnxruntime.quantization import quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from recorded import Recorded, main


def quantize(program: Path, output: Path, recorded: Recorded) -> None:
    prepared = output.with_suffix(".prepared.onnx")
    quant_pre_process(program, prepared, skip_symbolic_shape=True)
    quantize_static(prepared, output, recorded)
    prepared.unlink()


main(quantize)
