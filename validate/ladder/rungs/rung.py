"""What a rung is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from validate.ladder.context import Context
from validate.ladder.result import Figure


@dataclass(frozen=True)
class Outcome:
    """Figures of a rung, or why it was not climbed (`skipped`: not observable here; `refused`: not honest here).

    `failed`: what makes the figures worthless, however well they keep their limits.
    """

    figures: list[Figure] = field(default_factory=list)
    skipped: str = ""
    refused: str = ""
    failed: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rung:
    """One step of the ladder: a short name for `--rungs`, a title for people, and the measurement.

    `on_recordings`: whether it compares with what was recorded at the build, without the reference itself.
    """

    name: str
    title: str
    run: Callable[[Context], Outcome]
    on_recordings: bool = False
