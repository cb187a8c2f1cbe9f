"""What is measured of one row, as data that can be kept and read again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from exporter.machine.timing import Speed

Kind = Literal["original", "baseline", "row", "peer"]


@dataclass(frozen=True)
class Rate:
    """CLIP-R-Precision in percent with its 95 % Wilson interval; `p_value` of McNemar's test against the original."""

    percent: float
    low: float
    high: float
    captions: int
    p_value: float | None = None


@dataclass(frozen=True)
class Fidelity:
    """How near to the original it stays, object by object.

    SNR in dB of the guided prediction, teacher-forced: the worst and the mean over all evaluations, None where the
    sampler is another or there is none. Free-running: medians over the prompts of the relative L2 error of the latents
    (of what the field is made of, where nothing is sampled) and of the Chamfer distance in volume units.
    """

    snr_worst_db: float | None
    snr_mean_db: float | None
    latents_relative_l2: float
    chamfer: float


@dataclass(frozen=True)
class Result:
    """One row. Where `reason` is given it could not be measured; `note` is worth knowing beside the figures."""

    name: str
    title: str
    kind: Kind
    reason: str = ""
    note: str = ""
    bundle_digest: str = ""
    rate: Rate | None = None
    hard_rate: Rate | None = None
    fidelity: Fidelity | None = None
    stored_bytes: int | None = None
    step: Speed | None = None
    end_to_end: Speed | None = None
    peak_bytes: int | None = None


@dataclass(frozen=True)
class Table:
    """All rows, with what they were measured on and with."""

    recipe: str
    weights: str
    trained: bool
    synthetic: bool
    target: str
    settings: dict[str, Any]
    rows: list[Result] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The table as JSON data."""
        return asdict(self)

    def bytes_ratio(self, row: Result) -> float | None:
        """A row's bytes as a fraction of the baseline's."""
        baseline = next((other.stored_bytes for other in self.rows if other.kind == "baseline"), None)
        return row.stored_bytes / baseline if row.stored_bytes is not None and baseline else None


def save(result: Result, path: Path) -> None:
    """Write a row as JSON."""
    path.write_text(json.dumps(asdict(result), indent=2), encoding="utf-8")


def load(path: Path) -> Result:
    """Read a row again."""
    data = json.loads(path.read_text(encoding="utf-8"))
    parts = {"rate": Rate, "hard_rate": Rate, "fidelity": Fidelity, "step": Speed, "end_to_end": Speed}
    return Result(**{key: parts[key](**value) if key in parts and value else value for key, value in data.items()})
