"""Operator by operator: how far an ExecuTorch program is from the exported program that it was made from."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from exporter.backends.executorch.executorch_backend import RECORDS
from exporter.backends.executorch.lower import PROGRAM
from exporter.errors import RecipeError
from exporter.files.atomic import write_atomically
from exporter.machine.quiet import ROOT, quiet
from exporter.manifest import REPORTS, Manifest
from exporter.runtime.sessions.executorch import WEIGHTS, ExecuTorchSession
from exporter.runtime.sessions.pieces import Arrays, pieces

REPORT = f"{REPORTS}/operators.json"
BUFFER_BYTES = 2**28
DELEGATE = "DELEGATE_CALL"


@dataclass(frozen=True)
class Gap:
    """One operator as it ran, or one part that XNNPACK ran as a whole, against the same operators in PyTorch.

    `snr_db` is the SNR of its outputs, the worst of them; inputs carry the error of what ran before.
    """

    stage: str
    operators: str
    ran_by: str
    snr_db: float


def operator_gaps(folder: Path, manifest: Manifest) -> list[Gap]:
    """The gaps of every stage on its first golden, in the order in which operators run.

    Raises RecipeError that says how to get records where a bundle has none.
    """
    if manifest.target["backend"] != "executorch":
        raise RecipeError(
            f"--debug: {folder} runs on {manifest.target['backend']}; gaps of single operators are told of ExecuTorch "
            "programs alone, by ExecuTorch's own Inspector"
        )
    records = {name: folder / RECORDS / f"{name}.etrecord" for name in manifest.stages}
    lacking = [name for name, record in records.items() if not record.exists()]
    if lacking:
        raise RecipeError(
            f"--debug: {folder} has no record of {', '.join(lacking)}; build it for a target with "
            "`executorch: {etrecord: true}`, as cpu-executorch is"
        )
    programs = {name: (folder / stage.program).parent for name, stage in manifest.stages.items()}
    goldens = {name: folder / manifest.goldens[name][0] for name in records}
    return [gap for name in records for gap in stage_gaps(name, programs[name], records[name], goldens[name])]


def stage_gaps(stage: str, place: Path, record: Path, golden: Path) -> list[Gap]:
    """The gaps of the program in a folder from its record, on the first piece of a golden."""
    from executorch.devtools import Inspector, parse_etrecord

    session = ExecuTorchSession(place / PROGRAM, {})
    with np.load(golden, allow_pickle=False) as file:
        arrays = {name: file[name] for name in session.input_names}
    inputs = _tensors(next(pieces(session.inputs, arrays, session.largest)), session)
    with tempfile.TemporaryDirectory() as scratch, quiet(ROOT):
        events, values = Path(scratch, "events.etdp"), Path(scratch, "values.bin")
        _run_watched(place, inputs, events, values)
        known = parse_etrecord(str(record))
        known._representative_inputs = inputs
        inspector = Inspector(etdump_path=str(events), etrecord=known, debug_buffer_path=str(values))
        found = inspector.calculate_numeric_gap("SNR")
    return [
        Gap(stage, ", ".join(row.aot_ops), _runner(row.runtime_ops), min(map(float, row.gap)))
        for row in found.itertuples()
    ]


def gaps_table(gaps: list[Gap], shown: int = 12) -> Table:
    """The largest gaps first."""
    overview = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("stage", "operators", "ran by", "SNR against PyTorch"):
        overview.add_column(column, overflow="fold")
    for gap in sorted(gaps, key=lambda one: one.snr_db)[:shown]:
        overview.add_row(gap.stage, gap.operators, gap.ran_by, f"{gap.snr_db:.1f} dB")
    return overview


def gaps_data(gaps: list[Gap]) -> list[dict[str, Any]]:
    """The gaps as JSON data."""
    return [asdict(gap) for gap in gaps]


def write_gaps(gaps: list[Gap], folder: Path, output: Path | None = None) -> Path:
    """Write all gaps to `output`, or else among the bundle's reports; the file."""
    path = output or folder / REPORT
    write_atomically(path, (json.dumps(gaps_data(gaps), indent=1) + "\n").encode())
    return path


def _run_watched(place: Path, inputs: list[Any], events: Path, values: Path) -> None:
    """Run a program once, every value that it computes written down."""
    from executorch.extension.pybindings.portable_lib import _load_for_executorch

    weights = place / WEIGHTS
    outside = str(weights) if weights.exists() else None
    program = _load_for_executorch(str(place / PROGRAM), outside, enable_etdump=True, debug_buffer_size=BUFFER_BYTES)
    program.forward(tuple(inputs))
    program.write_etdump_result_to_file(str(events), str(values))


def _tensors(arrays: Arrays, session: ExecuTorchSession) -> list[Any]:
    import torch

    return [torch.from_numpy(np.array(arrays[spec.name], spec.dtype, order="C")) for spec in session.inputs]


def _runner(operators: list[str]) -> str:
    return "XNNPACK" if DELEGATE in operators else ", ".join(operators)
