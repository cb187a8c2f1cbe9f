"""Arrays that were recorded of a pipeline's stages, in files `<stage>_<number>.npz` of one folder."""

from __future__ import annotations

import re
from pathlib import Path


def recorded_of(folder: Path, stage: str) -> list[Path]:
    """The files of a stage, in order: those of 'text_encoder_2' are none of 'text_encoder'."""
    name = re.compile(rf"{re.escape(stage)}_\d+\.npz")
    return sorted(path for path in folder.glob("*.npz") if name.fullmatch(path.name))
