"""Which nodes of a graph hang together."""

from __future__ import annotations

import numpy as np


def connected_components(start: np.ndarray, end: np.ndarray, count: int) -> np.ndarray:
    """The number [count] of each node's component, counted in the order of their first nodes; edge i joins nodes
    start[i] and end[i].

    Every node points at one of a lower number that it hangs together with; the lowest of a component is left in a few
    rounds, each of which halves the ways (Shiloach and Vishkin, 1982).
    """
    parent = np.arange(count)
    while len(start):
        one, other = parent[start], parent[end]
        apart = one != other
        start, end, one, other = start[apart], end[apart], one[apart], other[apart]
        np.minimum.at(parent, np.maximum(one, other), np.minimum(one, other))
        while not np.array_equal(above := parent[parent], parent):
            parent = above
    return np.unique(parent, return_inverse=True)[1]
