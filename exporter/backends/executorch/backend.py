"""ExecuTorch runs a program of its own for each stage, its networks in XNNPACK."""

from __future__ import annotations

from pathlib import Path

from exporter.backends.base import Addition, Made
from exporter.backends.executorch.device_files import write_device_files
from exporter.backends.executorch.program import Constants, ExecuTorchProgram
from exporter.runtime.executorch import ExecuTorchSession
from exporter.sources import program_sources
from exporter.target import Target
from exporter.workshop import Workshop


def make_programs(workshop: Workshop) -> list[ExecuTorchProgram]:
    """The programs of a bundle in the order in which they run."""
    recipe, table, tokenizer = workshop.recipe, workshop.table, workshop.model.tokenizer
    step: Constants = {"evaluations": table.evaluations, "init_noise_sigma": table.init_noise_sigma}
    constants: dict[str, Constants] = {
        "text_encoder": {"context_length": tokenizer.context_length, "pad_id": tokenizer.pad_id},
        "denoiser": step,
        "sampler": step,
    }
    calibration = workshop.calibration() if recipe.quantization.table.calibrated else None
    unrolled = recipe.sampler.unroll == "full"
    return [
        ExecuTorchProgram(source, constants.get(source.name, {}), table.evaluations if unrolled else None)
        for source in program_sources(workshop.model, recipe, table, calibration)
    ]


def open_program(program: Path, target: Target) -> ExecuTorchSession:
    """A program with the target's session options."""
    return ExecuTorchSession(program, target.session.model_dump())


def complete(workshop: Workshop, folder: Path, made: list[Made]) -> Addition:
    """Add what an app needs beside the programs."""
    write_device_files(workshop, folder)
    return Addition()
