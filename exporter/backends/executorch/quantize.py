"""A policy applied to a traced graph by PyTorch's own quantization for export (PT2E), with XNNPACK's quantizer.

XNNPACK multiplies INT8 only where the result is INT8 too, so that a static layer's output is quantized as well as its
input; ONNX Runtime's layers quantize the input alone. Where activations are measured at run time the result stays
float32: a target can have a policy's INT8 layers made so where XNNPACK has them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)
from torch import fx
from torchao.quantization.pt2e import MinMaxObserver
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import ComposableQuantizer, QuantizationConfig

from exporter.backends.executorch.flattened_products import flatten_products
from exporter.backends.executorch.module_layers import PRODUCTS, GraphLayer, aten, find_layers
from exporter.backends.executorch.trace import examples, largest_sizes
from exporter.errors import RecipeError
from exporter.pipeline.pure_module import PureModule
from exporter.quantize.quantizer import LayerReport
from exporter.quantize.steps import Quantization
from exporter.recipe.policy import Policy, Precision, not_calibrated
from exporter.runtime.sessions.pieces import pieces

SMALLEST_SCALE = 2**-12


def quantize(
    stage: PureModule, graph: fx.GraphModule, quantization: Quantization, int8_at_run_time: bool = False
) -> tuple[fx.GraphModule, list[LayerReport]]:
    """The quantized graph of a stage, and what became of each layer.

    `int8_at_run_time`: layers in int8 measure their activations at run time where XNNPACK can. Raises RecipeError for a
    layer that cannot have its precision.
    """
    layers = find_layers(stage.name, graph, stage.root)
    chosen = {layer: _precision(layer, quantization.policy) for layer in layers}
    reports = [LayerReport(layer.name, layer.operator, precision) for layer, precision in chosen.items()]
    dynamic = [layer for layer, precision in chosen.items() if precision == "int8_dynamic"]
    _require_dynamic_products(dynamic)
    int8 = [layer for layer, precision in chosen.items() if precision == "int8"]
    static = [layer for layer in int8 if not (int8_at_run_time and _has_dynamic_product(layer))]
    dynamic += [layer for layer in int8 if layer not in static]
    if not static and not dynamic:
        return graph, reports
    if static and not quantization.shards:
        raise not_calibrated(static[0].name, stage.name)
    flatten_products(graph, [layer.node for layer in dynamic if layer.node])
    observer = quantization.settings.calibration.observer
    quantizers = [_quantizer(static, _static(observer)), _quantizer(dynamic, _config(is_dynamic=True))]
    prepared = prepare_pt2e(graph, ComposableQuantizer(quantizers))
    with torch.inference_mode():
        for arrays in _recorded(stage, quantization.shards) if static else [examples(stage)]:
            prepared(*arrays)
    return convert_pt2e(prepared), reports


def _precision(layer: GraphLayer, policy: Policy) -> Precision:
    rule = policy.choose(layer.name, layer.operator)
    return rule.precision if rule else "fp32"


def _has_dynamic_product(layer: GraphLayer) -> bool:
    return layer.node is not None and layer.node.target == aten.linear.default


def _require_dynamic_products(layers: Collection[GraphLayer]) -> None:
    for layer in layers:
        if not _has_dynamic_product(layer):
            raise RecipeError(
                f"{layer.name}: each of its rows has a matrix of its own, for which XNNPACK has no int8_dynamic; "
                "choose int8 or fp32 for it"
            )


def _quantizer(layers: Collection[GraphLayer], config: QuantizationConfig) -> XNNPACKQuantizer:
    """XNNPACK's quantizer for these layers alone; left to itself it quantizes every `add`, `mul` and `cat` too."""
    names = {layer.node.name for layer in layers if layer.node}

    def is_chosen(node: fx.Node) -> bool:
        return node.op != "call_function" or node.name in names

    quantizer = XNNPACKQuantizer().set_filter_function(is_chosen)
    for operator in PRODUCTS:
        quantizer.set_operator_type(operator, config)
    return quantizer


def _static(observer: str) -> QuantizationConfig:
    """mse is PyTorch's histogram observer, which looks for the range of the least square error."""
    config = _config()
    if observer == "mse":
        return config
    seen = replace(config.input_activation, observer_or_fake_quant_ctr=MinMaxObserver.with_args(eps=SMALLEST_SCALE))
    return replace(config, input_activation=seen, output_activation=seen)


def _config(is_dynamic: bool = False) -> QuantizationConfig:
    return get_symmetric_quantization_config(is_per_channel=True, is_dynamic=is_dynamic)


def _recorded(stage: PureModule, shards: Sequence[Path]) -> Iterator[tuple[torch.Tensor, ...]]:
    """Recorded inputs in pieces of the program's size."""
    for path in shards:
        with np.load(path, allow_pickle=False) as file:
            recorded = {spec.name: file[spec.name] for spec in stage.inputs}
        for piece in pieces(stage.inputs, recorded, largest_sizes(stage.inputs)):
            yield tuple(torch.from_numpy(np.array(piece[spec.name])) for spec in stage.inputs)
