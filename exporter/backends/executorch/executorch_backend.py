"""ExecuTorch runs a program of its own for each stage, its networks in XNNPACK."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from exporter.backends.backend import Addition, MadeProgram
from exporter.backends.executorch.device_files import write_device_files
from exporter.backends.executorch.lower import RECORD
from exporter.backends.executorch.program import Constants, ExecuTorchProgram
from exporter.backends.executorch.test_cases import write_test_cases
from exporter.files.atomic import write_atomically
from exporter.machine.quiet import ROOT, quiet
from exporter.runtime.sessions.executorch import ExecuTorchSession
from exporter.targets.target import Target
from exporter.workshop.goldens import goldens_of
from exporter.workshop.sources import program_sources
from exporter.workshop.workshop import Workshop

TEST_CASES = "device/test_cases"
RECORDS = "debug"
AT_RUN_TIME = (
    "int8 layers measure their activations at run time where XNNPACK can, which is as fast there: a calibrated layer "
    "would have its output quantized too (the target's executorch.int8_at_run_time)"
)


def make_programs(workshop: Workshop) -> list[ExecuTorchProgram]:
    """The programs of a bundle in the order in which they run."""
    recipe, tables = workshop.recipe, workshop.tables
    calibration = workshop.calibration() if recipe.quantization.table.calibrated else None
    return [
        ExecuTorchProgram(
            source,
            _constants(workshop, source.name),
            source.is_step and recipe.sampler_of(source.name).unroll == "full",
        )
        for source in program_sources(workshop.model, recipe, tables, calibration)
    ]


def _constants(workshop: Workshop, stage: str) -> Constants:
    """Numbers that the host of a stage needs: of its sampler, or of the tokenizers that it takes the ids of."""
    if stage in workshop.tables:
        table = workshop.tables[stage]
        return {"evaluations": table.evaluations, "init_noise_sigma": table.init_noise_sigma}
    taken = {spec.name for spec in workshop.pipeline.stages[stage].takes}
    constants: dict[str, int | float] = {}
    for source in workshop.pipeline.texts.values():
        if source.tensor in taken:
            constants |= {"context_length": source.length, "pad_id": source.pad_id}
    return constants


def open_program(program: Path, target: Target) -> ExecuTorchSession:
    """A program with the target's session options."""
    return ExecuTorchSession(program, target.session.model_dump())


def complete(workshop: Workshop, folder: Path, made: list[MadeProgram]) -> Addition:
    """Add what an app needs beside the programs, and test cases and records where the target wants them."""
    write_device_files(workshop, folder)
    options = workshop.target.executorch
    if options.etrecord:
        (folder / RECORDS).mkdir()
        for one in made:
            shutil.copyfile(one.entry.folder / RECORD, folder / RECORDS / f"{one.name}.etrecord")
    if options.test_cases:
        told = {one.name: _test_cases(workshop, folder, one) for one in made}
        write_atomically(folder / TEST_CASES / "tolerances.json", (json.dumps(told, indent=1) + "\n").encode())
    measured = options.int8_at_run_time and "int8" in workshop.recipe.quantization.table.precisions
    return Addition(warnings=[AT_RUN_TIME] if measured else [])


def _test_cases(workshop: Workshop, folder: Path, one: MadeProgram) -> dict[str, Any]:
    """A program with its goldens, written into the bundle; what a runner is to be told of it."""
    program, goldens = one.program, goldens_of(folder, one.name)
    snr_db = workshop.limit_db(one.name, program.precision(one.entry.folder))
    inputs, outputs = program.inputs(one.entry.folder), program.outputs(one.entry.folder)
    with quiet(ROOT):
        content, tolerance = write_test_cases(folder / one.main, inputs, outputs, goldens, snr_db)
    write_atomically(folder / TEST_CASES / f"{one.name}.bpte", content)
    return {"cases": len(goldens), "rtol": 0.0, "atol": tolerance}
