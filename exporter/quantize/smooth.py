"""SmoothQuant (Xiao et al., arXiv 2211.10438): channels with a large range hand it over to the weights that read them.

The factors fold into what makes the input (a LayerNormalization, or the value projection of an attention, whose output
is a weighted mean of values) and into the weights after, so the float program computes what it did. Between the two may
lie what treats all channels alike, as the mixing of the branches of guidance does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from exporter.graphs.attention import value_projection
from exporter.graphs.bias import bias_of, bias_values
from exporter.quantize.gptq import Floats
from exporter.quantize.grid import LEVELS
from exporter.quantize.layers import Layer

ALPHAS = tuple(np.linspace(0, 1, 21).tolist())
# The smallest range that counts, against the largest of all channels: a channel that is never used asks for no factor
# of thousands.
_LEAST = 1e-5


@dataclass(frozen=True)
class Group:
    """Layers that share an input which comes from one node, the `source`, for them alone."""

    source: str
    input: str
    layers: tuple[Layer, ...]


def groups(graph: gs.Graph, layers: Iterable[Layer]) -> list[Group]:
    """Those of the linear layers whose input can be smoothed, by input, in the order in which they run."""
    linear = {layer.node: layer for layer in layers if layer.operator == "linear"}
    found = []
    for node in graph.nodes:
        if node.name in linear and (values := value_projection(node)):
            found.append(Group(values.name, linear[node.name].input, (linear[node.name],)))
        if node.op == "LayerNormalization" and _is_per_channel(node):
            readers = [linear.get(reader.name) for reader in _readers(graph, node.outputs[0])]
            known = [reader for reader in readers if reader is not None]
            if known and len(known) == len(readers) and len({reader.input for reader in known}) == 1:
                found.append(Group(node.name, known[0].input, tuple(known)))
    return found


def _readers(graph: gs.Graph, value: gs.Variable) -> list[gs.Node]:
    """What reads a tensor in the end, behind nodes that treat all of its channels alike; none for an output."""
    alike, found = {value.name}, []
    for node in graph.nodes:
        if _treats_alike(node, alike):
            alike.add(node.outputs[0].name)
        elif any(given.name in alike for given in node.inputs):
            found.append(node)
    return [] if any(output.name in alike for output in graph.outputs) else found


def _treats_alike(node: gs.Node, alike: set[str]) -> bool:
    """Whether channels multiplied in these tensors are so in what a node gives, and in nothing else it reads."""
    known = [given.name in alike for given in node.inputs]
    if node.op in ("Add", "Sub"):
        return all(known)
    if node.op == "Mul":
        scalars = [isinstance(given, gs.Constant) and given.values.size == 1 for given in node.inputs]
        return sum(known) == 1 and all(a or b for a, b in zip(known, scalars, strict=True))
    if node.op == "Slice" and known[0] and node.inputs[0].shape and len(node.inputs) > 3:
        axes = {int(axis) % len(node.inputs[0].shape) for axis in node.inputs[3].values}
        return len(node.inputs[0].shape) - 1 not in axes
    return False


def smoothing(channel_maximum: Floats, weights: Sequence[Floats], alpha: float) -> Floats:
    """The factors s [K], all positive: activations [..., K] are to be divided by them, rows of weights multiplied.

    s = max|x|^alpha / max|w|^(1 - alpha) of each channel, over all weights that read it: alpha 1 evens all activations
    out, alpha 0 all weights. `channel_maximum` [K]: of the activations' magnitudes; `weights`: each [..., K, N].
    """
    weight_maximum = np.max([np.abs(w).max(axis=-1).reshape(-1, w.shape[-2]).max(axis=0) for w in weights], axis=0)
    if not (channel_maximum.any() and weight_maximum.any()):
        return np.ones_like(channel_maximum)
    return (_range(channel_maximum) ** alpha / _range(weight_maximum) ** (1 - alpha)).astype(np.float32)


def search_alpha(
    channel_maximum: Floats, energy: Floats, rows: float, weights: Sequence[Floats], alphas: Sequence[float] = ALPHAS
) -> tuple[float | None, Floats]:
    """The alpha, and its factors [K], of the least INT8 error at the layers' outputs; None and ones where none helps.

    `energy` [K]: sum of squares of each channel; `rows`: how many vectors were summed.
    The error is that of rounding as independent uniform noise: of activations with one step for the whole tensor, and
    of weights with one for each output channel. For the guided output give the guided energy, and as
    rows those of one branch times g² + (1 - g)².
    """
    candidates: list[tuple[float | None, Floats]] = [(None, np.ones_like(channel_maximum))]
    candidates += [(alpha, smoothing(channel_maximum, weights, alpha)) for alpha in alphas]
    return min(candidates, key=lambda candidate: _error(channel_maximum, energy, rows, weights, candidate[1]))


def fold(graph: gs.Graph, group: Group, factors: Floats) -> None:
    """Divides what a group's source makes by factors [K], and multiplies the rows of the readers' weights by them."""
    nodes = {node.name: node for node in graph.nodes}
    source = nodes[group.source]
    for index in range(1, len(source.inputs)):
        _multiply(source, index, np.reciprocal(factors))
    if source.op == "MatMul" and (bias := bias_of(source)):
        _multiply(bias, bias.inputs.index(bias_values(bias)), np.reciprocal(factors))
    for layer in group.layers:
        _multiply(nodes[layer.node], 1, factors[:, None])


def _range(maximum: Floats) -> NDArray[np.float64]:
    return np.maximum(maximum, maximum.max() * _LEAST).astype(np.float64)


def _is_per_channel(norm: gs.Node) -> bool:
    """Whether its scale and bias are constants of one dimension."""
    return all(isinstance(value, gs.Constant) and len(value.shape) == 1 for value in norm.inputs[1:])


def _multiply(node: gs.Node, index: int, factors: Floats) -> None:
    """Multiplies a constant input; one that other nodes read too stays as it is for them."""
    value = node.inputs[index]
    product = (value.values * factors).astype(np.float32)
    if len(value.outputs) > 1:
        node.inputs[index] = gs.Constant(f"{value.name}:{node.name}", product)
    else:
        value.values = product


def _error(channel_maximum: Floats, energy: Floats, rows: float, weights: Sequence[Floats], factors: Floats) -> float:
    step = float((channel_maximum / factors).max()) / LEVELS
    total = 0.0
    for weight in weights:
        matrices = (weight * factors[:, None]).astype(np.float64)
        steps = np.abs(matrices).max(axis=-2) / LEVELS
        of_activations = rows * step**2 * np.square(matrices).sum()
        of_weights = (energy / np.square(factors, dtype=np.float64)).sum() * np.square(steps).sum()
        total += float(of_activations + of_weights) / 12
    return total
