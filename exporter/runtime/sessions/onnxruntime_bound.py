"""Runs of ONNX Runtime whose tensors keep their place on a device: nothing is allocated twice, and CUDA graphs, which
replay the very same addresses, can be captured (provider option enable_cuda_graph)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Shapes = tuple[tuple[int, ...], ...]

MOST_PLACES = 8
MOST_SHAPES = 1024
_GRAPH = "gpu_graph_annotation_id"
_NO_GRAPH = "-1"


class BoundRuns:
    """Runs one session. Inputs of shapes that come again get a place of their own; rare shapes run as usual.

    `device`: ONNX Runtime's name of it, 'cuda' or 'cpu'.
    """

    def __init__(self, session: Any, device: str) -> None:
        self._session = session
        self._device = device
        self._once: set[Shapes] = set()
        self._places: dict[Shapes, _Place] = {}
        self._turn = threading.Lock()

    def run(self, arrays: Arrays) -> list[np.ndarray]:
        """All outputs in the session's order; of several threads one after the other, for places are shared."""
        with self._turn:
            return self._run(arrays)

    def _run(self, arrays: Arrays) -> list[np.ndarray]:
        shapes = tuple(array.shape for array in arrays.values())
        if shapes in self._places:
            return self._places[shapes].run(arrays)
        found = self._session.run(None, arrays, _options(_NO_GRAPH))
        if shapes in self._once and len(self._places) < MOST_PLACES:
            graph = str(len(self._places) + 1)
            self._places[shapes] = _Place(self._session, self._device, arrays, found, graph)
        if len(self._once) < MOST_SHAPES:
            self._once.add(shapes)
        return found


class _Place:
    """Tensors on the device for one set of shapes, bound to a session; where CUDA graphs are on, a run is one."""

    def __init__(self, session: Any, device: str, inputs: Arrays, outputs: Sequence[np.ndarray], graph: str) -> None:
        from onnxruntime import OrtValue

        self._session = session
        self._options = _options(graph)
        self._binding = session.io_binding()
        # On the processor a value shares the memory of its array, which belongs to the caller: hence the copies.
        self._inputs = {name: OrtValue.ortvalue_from_numpy(array.copy(), device, 0) for name, array in inputs.items()}
        self._outputs = [OrtValue.ortvalue_from_numpy(array.copy(), device, 0) for array in outputs]
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for tensor, value in zip(session.get_outputs(), self._outputs, strict=True):
            self._binding.bind_ortvalue_output(tensor.name, value)

    def run(self, arrays: Arrays) -> list[np.ndarray]:
        for name, value in self._inputs.items():
            value.update_inplace(arrays[name])
        self._binding.synchronize_inputs()
        self._session.run_with_iobinding(self._binding, self._options)
        self._binding.synchronize_outputs()
        return [value.numpy().copy() for value in self._outputs]


def _options(graph: str) -> Any:
    from onnxruntime import RunOptions

    options = RunOptions()
    options.add_run_config_entry(_GRAPH, graph)
    return options
