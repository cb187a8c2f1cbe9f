"""A bundle that is not good enough is kept beside the place it was meant for, so that its fault can be looked for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.errors import EnvironmentProblem, ValidationFailed
from exporter.files.in_place import followed
from exporter.files.swap import replacing
from exporter.manifest import FAILED, Manifest

FOLDER = "failed"


@contextmanager
def kept_aside(folder: Path, out: Path, manifest: Manifest) -> Iterator[None]:
    """Around what a whole bundle in `folder`, meant for `out`, has to pass.

    Raises its ValidationFailed, which says where the bundle is kept and what finds the fault in it.
    """
    try:
        yield
    except ValidationFailed as error:
        aside = failed_folder(out)
        try:
            _keep(folder, aside, str(error))
        except (OSError, EnvironmentProblem) as problem:
            raise ValidationFailed(f"{error}. The failed bundle could not be kept: {problem}") from None
        raise ValidationFailed(f"{error}. {_what_next(aside, manifest)}") from None


def failed_folder(out: Path) -> Path:
    """Where a bundle that was meant for `out` is kept when it fails."""
    return followed(out).parent / FOLDER / followed(out).name


def forget_failed(out: Path) -> None:
    """Deletes what an earlier build kept, now that one was good."""
    aside = failed_folder(out)
    if (aside / FAILED).is_file():
        shutil.rmtree(aside, ignore_errors=True)
        if not any(aside.parent.iterdir()):
            aside.parent.rmdir()


def _keep(folder: Path, aside: Path, why: str) -> None:
    if aside.exists() and not (aside / FAILED).is_file():
        raise EnvironmentProblem(f"{aside} is there, and no build put it there")
    with replacing(aside) as kept:
        for entry in sorted(folder.iterdir()):
            shutil.move(entry, kept / entry.name)
        (kept / FAILED).write_text(f"{why}\n", encoding="utf-8")


def _what_next(aside: Path, manifest: Manifest) -> str:
    if all(stage.program.endswith(".onnx") for stage in manifest.stages.values()):
        return f"`t3export bisect {aside}` finds the first tensor that is wrong; the failed bundle is kept there"
    return f"The failed bundle is kept in {aside}; `t3export bisect` finds the fault in one built with --target cpu"
