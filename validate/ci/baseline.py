"""The baseline: one JSON file under version control, an entry with its reason for each pair of recipe and target."""

from __future__ import annotations

import datetime
from pathlib import Path

from pydantic import Field, ValidationError

from exporter.errors import RecipeError
from exporter.files.atomic import write_atomically
from validate.ci.measurement import Measurement, MeasurementPart


class BaselineTolerances(MeasurementPart):
    """By how much a measurement may be worse than its baseline."""

    size: float = Field(default=0.01, ge=0, description="Growth of stored bytes, as a share")
    parity: float = Field(default=0.1, ge=0, description="Loss of a rung's distance to its limit, as a share of it")
    quality_points: float = Field(default=1.0, ge=0, description="Fall of R-Precision, in percentage points")
    significance: float = Field(default=0.05, ge=0, le=1, description="McNemar's p below which any fall counts")
    speed: float = Field(default=0.15, ge=0, description="Loss of speed against the reference, as a share")


class BaselineEntry(MeasurementPart):
    """What held when somebody said so."""

    reason: str = Field(min_length=1, description="Why this is the baseline")
    date: str
    measurement: Measurement


class Baseline(MeasurementPart):
    """Entries by pair, '<recipe>/<target>'."""

    tolerances: BaselineTolerances = BaselineTolerances()
    entries: dict[str, BaselineEntry] = Field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """The baseline of a file, an empty one where there is none. Raises RecipeError for a file that is none."""
        if not path.exists():
            return cls()
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise RecipeError(f"{path}: not a baseline that this t3export can read:\n{error}") from None

    def updated(self, found: dict[str, Measurement], reason: str) -> Baseline:
        """With the entries of these pairs replaced."""
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        new = {pair: BaselineEntry(reason=reason, date=today, measurement=measured) for pair, measured in found.items()}
        return self.model_copy(update={"entries": dict(sorted((self.entries | new).items()))})

    def write(self, path: Path) -> None:
        """Whole or not at all. Raises EnvironmentProblem when it cannot be written."""
        write_atomically(path, (self.model_dump_json(indent=2) + "\n").encode())
