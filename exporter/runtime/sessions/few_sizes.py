"""Points and rays in few numbers at once, for runtimes that keep a plan of every shape they have seen.

OpenVINO keeps 1.6 MB of Shap-E's field for each number of points, for good; TensorRT and CUDA plan anew for each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from exporter.pipeline.tensor import POINTS, POINTS_AT_ONCE, RAYS, TensorSpec
from exporter.runtime.sessions.session import Session

Arrays = dict[str, np.ndarray]
SIZES = tuple(POINTS_AT_ONCE >> i for i in (4, 3, 2, 1, 0))


class FewSizes:
    """A session that is given its points or rays in one of `SIZES`, or a multiple of the largest: the last is repeated,
    and what comes of the copies is left out."""

    def __init__(self, session: Session, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        self.session = session
        self._axes = {spec.name: axis for spec in (*inputs, *outputs) if (axis := _axis(spec)) is not None}

    @property
    def input_names(self) -> tuple[str, ...]:
        """The arrays that `run` takes from what it is given."""
        return self.session.input_names

    def run(self, arrays: Arrays) -> Arrays:
        """All outputs by name."""
        places = {name: self._axes[name] for name in self.input_names if name in self._axes and name in arrays}
        count = max((arrays[name].shape[axis] for name, axis in places.items()), default=0)
        if count == (size := few_size(count)):
            return self.session.run(arrays)
        more = {name: _repeated(arrays[name], axis, size - count) for name, axis in places.items()}
        found = self.session.run(arrays | more)
        return {
            name: array.take(range(count), self._axes[name]) if name in self._axes else array
            for name, array in found.items()
        }


def few_size(count: int) -> int:
    """The next of the sizes that holds so many places."""
    return next((size for size in SIZES if count <= size), -(-count // SIZES[-1]) * SIZES[-1]) if count else 0


def _axis(spec: TensorSpec) -> int | None:
    return next((i for i, size in enumerate(spec.shape) if size in (POINTS, RAYS)), None)


def _repeated(array: np.ndarray, axis: int, times: int) -> np.ndarray:
    last = array.take([-1], axis)
    return np.concatenate([array, last.repeat(times, axis)], axis)
