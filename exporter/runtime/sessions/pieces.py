"""Arrays of any size through a program of bounded size: cut along the dynamic dimensions, run, put together again."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from exporter.errors import BundleError
from exporter.pipeline.tensor import TensorSpec

Arrays = dict[str, np.ndarray]
Cut = dict[str, slice]


def run_in_pieces(
    run: Callable[[Arrays], Arrays],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    largest: Mapping[str, int],
    arrays: Arrays,
) -> Arrays:
    """All outputs, `run` being given at most `largest` of each dynamic dimension at once.

    Raises BundleError for arrays that do not fit the inputs or one another.
    """
    sizes = dynamic_sizes(inputs, arrays)
    found = {spec.name: np.empty(_concrete(spec, sizes), spec.dtype) for spec in outputs}
    for cut in cuts(sizes, largest):
        piece = run({spec.name: arrays[spec.name][_index(spec, cut)] for spec in inputs})
        for spec in outputs:
            found[spec.name][_index(spec, cut)] = piece[spec.name]
    return found


def pieces(inputs: Sequence[TensorSpec], arrays: Arrays, largest: Mapping[str, int]) -> Iterator[Arrays]:
    """The inputs in pieces of at most `largest` of each dynamic dimension."""
    for cut in cuts(dynamic_sizes(inputs, arrays), largest):
        yield {spec.name: arrays[spec.name][_index(spec, cut)] for spec in inputs}


def dynamic_sizes(inputs: Sequence[TensorSpec], arrays: Arrays) -> dict[str, int]:
    """The size of every dynamic dimension. Raises BundleError where two arrays disagree or one has another shape."""
    sizes: dict[str, int] = {}
    for spec in inputs:
        shape = arrays[spec.name].shape
        wanted = [sizes.setdefault(d, n) if isinstance(d, str) else d for d, n in zip(spec.shape, shape, strict=False)]
        if len(shape) != len(spec.shape) or list(shape) != wanted:
            raise BundleError(f"input '{spec.name}' has shape {list(shape)}, the program takes {list(spec.shape)}")
    return sizes


def cuts(sizes: Mapping[str, int], largest: Mapping[str, int]) -> Iterator[Cut]:
    """Slices of every dynamic dimension that together cover all of them once."""
    per_dimension = [
        [slice(start, min(start + largest[name], size)) for start in range(0, size, largest[name])]
        for name, size in sizes.items()
    ]
    for chosen in itertools.product(*per_dimension):
        yield dict(zip(sizes, chosen, strict=True))


def _index(spec: TensorSpec, cut: Cut) -> tuple[slice, ...]:
    return tuple(cut[d] if isinstance(d, str) else slice(None) for d in spec.shape)


def _concrete(spec: TensorSpec, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(sizes[d] if isinstance(d, str) else d for d in spec.shape)
