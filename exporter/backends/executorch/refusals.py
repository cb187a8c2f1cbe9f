"""What ExecuTorch's targets cannot take, by the recipe's own word for it: why, and the nearest thing that they take."""

from __future__ import annotations

_NO_WEIGHT_ONLY = (
    "XNNPACK has no product of float activations with stored {}: the program would turn the weights back into floats "
    "at every run, on a portable kernel; int8_dynamic is the nearest, it measures the activations as it runs"
)
_NO_SUCH_OPERATOR = "XNNPACK runs {} in float32 alone; int8 and int8_dynamic go with operator linear"
_NO_SUCH_OBSERVER = "PyTorch's quantization for export has the observers mse and minmax; mse is the nearest to {}"

REFUSED = {
    "int8_weights": _NO_WEIGHT_ONLY.format("integers"),
    "int4_weights": _NO_WEIGHT_ONLY.format("integers"),
    "palette": _NO_WEIGHT_ONLY.format("indices"),
    "fp16": _NO_WEIGHT_ONLY.format("halves"),
    "attention": _NO_SUCH_OPERATOR.format("attention"),
    "norm": _NO_SUCH_OPERATOR.format("normalization"),
    "activation": _NO_SUCH_OPERATOR.format("activation functions"),
    "table": "ExecuTorch keeps tables in float32",
    "gptq": "rounding gptq is not part of PyTorch's quantization for export; nearest is what it has",
    "percentile": _NO_SUCH_OBSERVER.format("percentile"),
    "entropy": _NO_SUCH_OBSERVER.format("entropy"),
    "smooth": "smoothing is done on ONNX graphs alone; leave quantization.smooth at none",
    "loop": (
        "a while_loop fails in to_executorch (pytorch/executorch#8769); step leaves the loop to the host, full unrolls "
        "a few steps"
    ),
}
