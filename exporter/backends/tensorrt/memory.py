"""Does a bundle fit the device? Its weights, and the scratch memory of one engine, against the device's memory."""

from __future__ import annotations

from pathlib import Path

from exporter.backends.base import Made
from exporter.errors import RecipeError
from exporter.target import Target

CLOSE = 0.75


def memory_warnings(folder: Path, made: list[Made], target: Target) -> list[str]:
    """A warning where little would be left for the system and other programs.

    Raises RecipeError where weights and workspace alone need more than the device has.
    """
    if target.memory_limit_mb is None or target.tensorrt is None:
        return []
    stored = sum(
        (folder / one.name / file).stat().st_size for one in made for file in one.program.files(one.entry.folder)
    )
    weights, workspace = stored / 1e6, target.tensorrt.workspace_mb
    needed = weights + workspace
    told = f"{weights:.0f} MB of weights and {workspace} MB of workspace, of {target.memory_limit_mb} MB on '{target.name}'"
    if needed > target.memory_limit_mb:
        raise RecipeError(
            f"the device's memory cannot hold this bundle: {told}. Quantize more layers, or lower tensorrt.workspace_mb "
            "in a target file of your own"
        )
    return [f"memory will be short on the device: {told}"] if needed > CLOSE * target.memory_limit_mb else []
