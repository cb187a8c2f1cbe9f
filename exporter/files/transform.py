"""One cached step in the making of a program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Transform:
    """`run(folder of the step before, folder to write)`; `inputs` are the settings, as JSON data, it depends on."""

    step: str
    inputs: dict[str, Any]
    run: Callable[[Path | None, Path], object]
