"""A program with the ranges of its activations evened out before they are observed; it computes what it did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from exporter.graphs.graph_file import save_graph
from exporter.quantize.collect import collect
from exporter.quantize.layers import find_layers
from exporter.quantize.prepared import prepared
from exporter.quantize.quantizer import precision_of
from exporter.quantize.smooth import Group, fold, groups, search_alpha, smoothing
from exporter.quantize.statistics import Statistics
from exporter.recipe.policy import Policy

Alpha = float | Literal["search"]
# Five evaluations of a Shap-E of 1024 tokens; all that is recorded of small models.
NUMBERS_SAMPLED = 2**24


def smooth_program(
    program: Path, policy: Policy, alpha: Alpha, shards: Sequence[Path], guidance_scale: float | None, folder: Path
) -> Path:
    """Write the program, smoothed where all readers of an input are to be static INT8, into `folder`; its path.

    `shards`: recorded inputs, of which a sample is run. With a `guidance_scale` the search looks at the error of the
    guided output.
    """
    graph = prepared(program)
    together = [group for group in groups(graph, find_layers(graph)) if _is_static(group, policy)]
    inputs = [group.input for group in together]
    energies = inputs if alpha == "search" else []
    some = sampled(shards)
    seen = collect(program, inputs, some, energies=energies, guidance_scale=guidance_scale) if inputs else {}
    nodes = {node.name: node for node in graph.nodes}
    for group in together:
        weights = [nodes[layer.node].inputs[1].values for layer in group.layers]
        fold(graph, group, _factors(seen[group.input], weights, alpha, guidance_scale))
    return save_graph(graph, folder)


def sampled(shards: Sequence[Path]) -> Sequence[Path]:
    """All of them, or evenly spread ones where their inputs are large: few show which channels are large."""
    if not shards:
        return shards
    with np.load(shards[0], allow_pickle=False) as file:
        numbers = sum(array.size for array in file.values())
    count = min(len(shards), max(1, NUMBERS_SAMPLED // numbers))
    return [shards[i] for i in np.linspace(0, len(shards) - 1, count).round().astype(int)]


def _is_static(group: Group, policy: Policy) -> bool:
    return all(precision_of(layer, policy) == "int8" for layer in group.layers)


def _factors(seen: Statistics, weights: list[np.ndarray], alpha: Alpha, guidance_scale: float | None) -> np.ndarray:
    if alpha != "search":
        return smoothing(seen.channel_maximum, weights, alpha)
    energy, rows = seen.energy, float(seen.rows)
    if seen.guided_energy is not None and guidance_scale is not None:
        energy, rows = seen.guided_energy, seen.rows / 2 * (guidance_scale**2 + (1 - guidance_scale) ** 2)
    assert energy is not None
    return search_alpha(seen.channel_maximum, energy, rows, weights)[1]
