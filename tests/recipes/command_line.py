"""The command line, called as a person calls it, in a process of its own that has torch imported already."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

# What `build` and `validate` import when they are called: a third of a short call, and the same every time.
HEAVY = ["exporter.build.build", "validate.prove", "diffusers", "transformers", "onnx", "onnxscript", "onnxruntime"]


@dataclass(frozen=True)
class Called:
    """What came of a call: its exit code, what it wrote on both streams, and its seconds."""

    arguments: tuple[str, ...]
    exit_code: int | None
    said: str
    seconds: float

    def __str__(self) -> str:
        return f"t3export {' '.join(self.arguments)}: exit code {self.exit_code}\n{self.said}"


class CommandLine:
    """Calls `t3export` in a folder. Each process is forked from one that has only imported what is heavy."""

    def __init__(self, folder: Path, limit: float = 900.0) -> None:
        """`limit`: seconds after which a call is ended, with None for its exit code."""
        self.folder, self.limit = folder, limit
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(HEAVY)

    def __call__(self, *arguments: str) -> Called:
        written, start = self.folder / f".called-{os.getpid()}.txt", time.perf_counter()
        process = self._context.Process(target=_call, args=(arguments, self.folder, written, dict(os.environ)))
        process.start()
        process.join(self.limit)
        if process.is_alive():
            process.kill()
            process.join()
            return Called(arguments, None, _read(written), time.perf_counter() - start)
        return Called(arguments, process.exitcode, _read(written), time.perf_counter() - start)


def _call(arguments: tuple[str, ...], folder: Path, written: Path, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    os.chdir(folder)
    with written.open("wb") as stream:
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
    from t3export.cli import main

    sys.argv = ["t3export", *arguments]
    main()


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
