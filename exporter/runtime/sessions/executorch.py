"""Programs on ExecuTorch.

ExecuTorch's Python binding is linked against libtorch and takes torch tensors, so that opening such a program imports
torch; on a phone its C++, Swift or Kotlin runtime needs nothing of it.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np

from exporter.errors import BundleError, EnvironmentProblem
from exporter.machine.processor import threads_to_use
from exporter.machine.quiet import quiet
from exporter.pipeline.tensor import TensorSpec
from exporter.runtime.sessions.pieces import Arrays, run_in_pieces

SIGNATURE = "signature.json"
WEIGHTS = "program.ptd"
NOT_INSTALLED = "ExecuTorch is not installed: `pip install executorch==1.5.1 torch==2.13.0`"


class ExecuTorchSession:
    """A `.pte` program with its `signature.json`, and maybe its weights, beside it; `options`: a target's `session`.

    The signature names inputs and outputs, and says how much of each dynamic dimension the program takes at once: more
    is cut into pieces here, as an app would do it. Raises BundleError for a damaged program, EnvironmentProblem without
    ExecuTorch.
    """

    def __init__(self, program: Path, options: dict[str, Any]) -> None:
        signature = _read_signature(program.parent / SIGNATURE)
        self.inputs, self.outputs = (
            [TensorSpec(spec["name"], spec["dtype"], tuple(spec["shape"])) for spec in signature[side]]
            for side in ("inputs", "outputs")
        )
        self.largest: dict[str, int] = signature["largest"]
        self._execute = _load(program, threads_to_use(options.get("threads", 0)))
        self._turn = threading.Lock()

    @property
    def input_names(self) -> tuple[str, ...]:
        """The arrays that `run` takes from what it is given."""
        return tuple(spec.name for spec in self.inputs)

    def run(self, arrays: Arrays) -> Arrays:
        """All outputs by name. Raises BundleError that names the inputs when one is missing."""
        missing = [name for name in self.input_names if name not in arrays]
        if missing:
            raise BundleError(f"the program needs {', '.join(missing)}; it was given {', '.join(sorted(arrays))}")
        return run_in_pieces(self._run_piece, self.inputs, self.outputs, self.largest, arrays)

    def _run_piece(self, arrays: Arrays) -> Arrays:
        given = [np.array(arrays[spec.name], spec.dtype, order="C") for spec in self.inputs]
        with self._turn:
            found = [array.copy() for array in self._execute(given)]
        return dict(zip((spec.name for spec in self.outputs), found, strict=True))


def _read_signature(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: cannot be read, and the program beside it needs it ({error})") from None


def _load(program: Path, threads: int) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """A program's method as a function of arrays. `threads`: 0 leaves their number to ExecuTorch."""
    if find_spec("executorch") is None or find_spec("torch") is None:
        raise EnvironmentProblem(NOT_INSTALLED)
    # The binding calls itself experimental each time it is imported, and torchao misses its GPU kernels.
    with quiet("torch.utils._pytree", "torchao"):
        import torch
        from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool
        from executorch.runtime import Runtime
    with _own_words() as said:
        try:
            if threads:
                _unsafe_reset_threadpool(threads)
            weights = program.with_name(WEIGHTS)
            outside = weights if weights.exists() else None
            method = Runtime.get().load_program(program, data_path=outside).load_method("forward")
        except RuntimeError as error:
            raise BundleError(f"{program}: ExecuTorch cannot open it: {error}{_last_words(said)}") from None

    def execute(arrays: list[np.ndarray]) -> list[np.ndarray]:
        return [found.numpy() for found in method.execute([torch.from_numpy(array) for array in arrays])]

    return execute


@contextmanager
def _own_words() -> Iterator[IO[str]]:
    """What the runtime tells the terminal, kept: remarks about the processor, and the reasons of a failure.

    Some of it goes to the file descriptor, some to Python's stream.
    """
    before = os.dup(2)
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        os.dup2(said.fileno(), 2)
        try:
            with redirect_stderr(said):
                yield said
        finally:
            os.dup2(before, 2)
            os.close(before)


def _last_words(said: IO[str]) -> str:
    said.seek(0)
    return "".join(f"\n  {line}" for line in said.read().splitlines()[-3:])
