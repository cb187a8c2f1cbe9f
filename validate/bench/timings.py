"""What is measured of each side, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from exporter.machine.timing import Speed
from validate.bench.fresh import Fresh
from validate.bench.sides import TO_MESH

END_TO_END, STEP = "end_to_end", "step"


@dataclass(frozen=True)
class SideResult:
    """One side. `seconds`: of each stage, a figure a round. `step_seconds`: of one evaluation with both branches of
    guidance. Where `reason` is given it could not be measured.

    `composed`: its sampler's time is one evaluation's times their number; all else was run in full. `stored_bytes`: of
    a bundle, `program_bytes` of them its programs. `load_seconds`: of each fresh process.
    """

    name: str
    title: str
    kind: Literal["bundle", "baseline"]
    sampler: str = ""
    evaluations: int = 0
    composed: bool = False
    reason: str = ""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    step_seconds: list[float] = field(default_factory=list)
    load_seconds: list[float] = field(default_factory=list)
    fresh: Fresh | None = None
    stored_bytes: int | None = None
    program_bytes: int | None = None

    def rounds(self, what: str) -> list[float]:
        """Seconds of each round: of a stage, of one evaluation (STEP), or from prompt to mesh (END_TO_END)."""
        if what == STEP:
            return self.step_seconds
        if what == END_TO_END:
            return [sum(parts) for parts in zip(*(self.seconds[stage] for stage in TO_MESH), strict=True)]
        return self.seconds[what]

    def percentile(self, what: str, percent: float) -> float | None:
        """Of the rounds; None for a stage that the side does not have."""
        known = self.seconds and (what in self.seconds or what in (STEP, END_TO_END))
        return float(np.percentile(self.rounds(what), percent)) if known else None


@dataclass(frozen=True)
class BenchResult:
    """All sides, with what they made and on what."""

    machine: dict[str, Any]
    settings: dict[str, Any]
    sides: list[SideResult]

    @property
    def measured(self) -> list[SideResult]:
        return [side for side in self.sides if not side.reason]

    def speed(self, side: SideResult, other: SideResult, what: str = END_TO_END) -> Speed:
        """How many times as fast as another side a side is, round by round."""
        return Speed.of(other.rounds(what), side.rounds(what))

    def to_dict(self) -> dict[str, Any]:
        """As JSON data, with the percentiles, and each bundle's ratios to every other side."""
        return {
            "machine": self.machine,
            "settings": self.settings,
            "sides": [self._side_to_dict(side) for side in self.sides],
        }

    def _side_to_dict(self, side: SideResult) -> dict[str, Any]:
        told = asdict(side)
        whats = [*side.seconds, STEP, END_TO_END] if side.seconds else []
        for percent in (50, 90):
            told[f"p{percent}"] = {what: side.percentile(what, percent) for what in whats}
        if side.kind == "bundle" and not side.reason:
            others = [other for other in self.measured if other is not side]
            told["times_as_fast_as"] = {
                other.name: {what: asdict(self.speed(side, other, what)) for what in (STEP, END_TO_END)}
                for other in others
            }
        return told
