"""A program with the ranges of its activations evened out before they are observed; it computes what it did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from exporter.graphs.graph_file import save_graph
from exporter.quantize.layers import find_layers
from exporter.quantize.prepared import prepared
from exporter.quantize.quantizer import precision_of
from exporter.quantize.smooth import Group, fold, groups, search_alpha, smoothing
from exporter.quantize.statistics import Statistics, collect
from exporter.recipe.policy import Policy

Alpha = float | Literal["search"]


def smooth_program(
    program: Path, policy: Policy, alpha: Alpha, shards: Sequence[Path], guidance_scale: float | None, folder: Path
) -> Path:
    """Write the program, smoothed where all readers of an input are to be static INT8, into `folder`; its path.

    `shards`: recorded inputs. With a `guidance_scale` the search looks at the error of the guided output.
    """
    graph = prepared(program)
    together = [group for group in groups(graph, find_layers(graph)) if _is_static(group, policy)]
    inputs = [group.input for group in together]
    grams = inputs if alpha == "search" else []
    seen = collect(program, inputs, shards, grams=grams, guidance_scale=guidance_scale) if inputs else {}
    nodes = {node.name: node for node in graph.nodes}
    for group in together:
        weights = [nodes[layer.node].inputs[1].values for layer in group.layers]
        fold(graph, group, _factors(seen[group.input], weights, alpha, guidance_scale))
    return save_graph(graph, folder)


def _is_static(group: Group, policy: Policy) -> bool:
    return all(precision_of(layer, policy) == "int8" for layer in group.layers)


def _factors(seen: Statistics, weights: list[np.ndarray], alpha: Alpha, guidance_scale: float | None) -> np.ndarray:
    if alpha != "search":
        return smoothing(seen.channel_maximum, weights, alpha)
    gram, rows = seen.gram, float(seen.rows)
    if seen.guided_gram is not None and guidance_scale is not None:
        gram, rows = seen.guided_gram, seen.rows / 2 * (guidance_scale**2 + (1 - guidance_scale) ** 2)
    assert gram is not None
    return search_alpha(seen.channel_maximum, np.diagonal(gram), rows, weights)[1]
