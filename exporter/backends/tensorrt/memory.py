"""Does a bundle fit the device? Its weights, and the scratch memory of one engine, against the device's memory."""

from __future__ import annotations

from pathlib import Path

from exporter.backends.backend import MadeProgram
from exporter.errors import RecipeError
from exporter.targets.target import Target

CLOSE = 0.75


def memory_warnings(folder: Path, made: list[MadeProgram], target: Target) -> list[str]:
    """A warning where little would be left for the system and other programs.

    Raises RecipeError where weights and workspace alone need more than the device has.
    """
    if target.memory_limit_mb is None or target.tensorrt is None:
        return []
    stored = sum(
        (folder / one.name / file).stat().st_size for one in made for file in one.program.files(one.entry.folder)
    )
    weights, workspace, limit = stored / 1e6, target.tensorrt.workspace_mb, target.memory_limit_mb
    told = f"{weights:.0f} MB of weights and {workspace} MB of workspace, of {limit} MB on '{target.name}'"
    if weights + workspace > limit:
        raise RecipeError(
            f"the device's memory cannot hold this bundle: {told}. Quantize more layers, or lower "
            "tensorrt.workspace_mb in a target file of your own"
        )
    return [f"memory will be short on the device: {told}"] if weights + workspace > CLOSE * limit else []
