"""What a rung of the ladder hands back: figures beside their limits, and the verdict that follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from validate.ladder.words import allowed, turned

Sense = Literal["at least", "at most"]
Status = Literal["passed", "failed", "refused", "skipped"]


@dataclass(frozen=True)
class Figure:
    """One measured number. Without a limit it informs; with one it decides, and a nan always misses."""

    stage: str
    tensor: str
    measure: str
    value: float
    unit: str = ""
    limit: float | None = None
    sense: Sense = "at least"
    where: str = ""

    @property
    def passed(self) -> bool:
        return self.limit is None or self.margin >= 0

    @property
    def margin(self) -> float:
        """By how much the limit is kept: in factors of ten for dB, else relative to it; negative for a miss."""
        if self.limit is None:
            return math.inf
        if math.isnan(self.value):
            return -math.inf
        if self.value == self.limit:
            return 0.0
        kept = self.value - self.limit if self.sense == "at least" else self.limit - self.value
        return kept / (20 if self.unit == "dB" else max(abs(self.limit), 1e-12))

    @property
    def subject(self) -> str:
        """Stage, tensor and place, for a person: `denoiser prediction, step 12`."""
        return f"{self.stage} {self.tensor}".strip() + (f", {self.where}" if self.where else "")

    def __str__(self) -> str:
        return f"{self.words} ({self.allowed})" if self.allowed else self.words

    @property
    def words(self) -> str:
        """What was measured, for a person: `SNR 34.2 dB`."""
        measure, value = turned(self.measure, self.value)
        return f"{measure} {show(value, self.unit)}"

    @property
    def allowed(self) -> str:
        """The limit, for a person: `at least 25 dB`; empty where there is none."""
        return "" if self.limit is None else allowed(self.measure, self.value, self.sense, show(self.limit, self.unit))

    def to_dict(self) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "tensor": self.tensor,
            "where": self.where,
            "measure": self.measure,
            "value": plain(self.value),
            "unit": self.unit,
            "limit": self.limit,
            "sense": None if self.limit is None else self.sense,
            "passed": self.passed,
        }


@dataclass(frozen=True)
class RungResult:
    """The outcome of one rung. `reason` says why a rung was refused, skipped, could not finish, or proves nothing."""

    name: str
    title: str
    figures: tuple[Figure, ...] = ()
    status: Status = "passed"
    reason: str = ""
    seconds: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def worst(self) -> Figure | None:
        """The deciding figure nearest to its limit, or furthest beyond it."""
        deciding = [figure for figure in self.figures if figure.limit is not None]
        return min(deciding, key=lambda figure: figure.margin) if deciding else None

    @property
    def summary(self) -> str:
        """One line: the reason where there is one, else the deciding figure with what it was measured on."""
        worst = self.worst
        return self.reason if self.reason or worst is None else f"{worst.subject}: {worst}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "status": self.status,
            "summary": self.summary,
            "reason": self.reason,
            "seconds": round(self.seconds, 3),
            "worst": self.worst.to_dict() if self.worst else None,
            "figures": [figure.to_dict() for figure in self.figures],
            "details": self.details,
        }


def show(value: float, unit: str = "") -> str:
    """A number to four significant digits with its unit."""
    number = f"{value:.4g}"
    return f"{number}{unit}" if unit in ("", "%") else f"{number} {unit}"


def plain(value: float) -> float | str:
    """The value for JSON, which has neither infinity nor nan."""
    return value if math.isfinite(value) else str(value)
