"""ONNX Runtime's quantize_dynamic with its defaults."""

from pathlib import Path

import onnx
from onnxruntime.quantization import quantize_dynamic
from recorded import Recorded, main


def quantize(program: Path, output: Path, recorded: Recorded) -> None:
    model = onnx.load(program)
    # Shapes that torch's exporter wrote beside the graph disagree with those that the quantizer infers again.
    del model.graph.value_info[:]
    quantize_dynamic(model, output)


main(quantize)
