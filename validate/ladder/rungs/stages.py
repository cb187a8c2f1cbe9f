"""Rung 1: every program on the inputs that were recorded from real prompts when the bundle was built."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from exporter.errors import BundleError
from exporter.runtime.run import Arrays
from exporter.workshop.goldens import limit_db
from validate.ladder.compare import parity_figures
from validate.ladder.context import Context
from validate.ladder.result import Figure
from validate.ladder.rungs.rung import Outcome, Rung


def run(context: Context) -> Outcome:
    """SNR of every output of every stage on every golden file, against the stage's own precision."""
    figures: list[Figure] = []
    for done, name in enumerate(context.stages):
        for path in context.goldens.get(name, []):
            figures += _compare(context, name, path)
        context.report("stages", done + 1, len(context.stages))
    unrecorded = [name for name in context.stages if not context.goldens.get(name)]
    if unrecorded:
        raise BundleError(f"no goldens are recorded for {', '.join(unrecorded)}; build the bundle again")
    return Outcome(figures)


def _compare(context: Context, name: str, path: Path) -> list[Figure]:
    golden = _read(path)
    spec = context.stages[name]
    wanted = [tensor.name for tensor in (*spec.inputs, *spec.outputs)]
    missing = [tensor for tensor in wanted if tensor not in golden]
    if missing:
        raise BundleError(f"{path}: no recording of {', '.join(missing)}; it holds {', '.join(sorted(golden))}")
    found = context.bundle.run_program(name, {tensor.name: golden[tensor.name] for tensor in spec.inputs})
    limit = limit_db(spec.is_whole_sampler, context.tolerance(name))
    return [
        figure
        for tensor in spec.outputs
        for figure in parity_figures(
            name, tensor.name, golden[tensor.name], found[tensor.name], snr_limit_db=limit, where=path.name
        )
    ]


def _read(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path}: the golden file cannot be read: {error}") from error


RUNG = Rung("stages", "each stage on its recorded inputs", run, on_recordings=True)
