"""What is kept of one recipe on one target: enough to say later whether anything became worse."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

QUALITY = "quality"


class MeasurementPart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RungFigures(MeasurementPart):
    """One rung of the ladder with its deciding figure: the one nearest to its limit."""

    status: Literal["passed", "failed", "refused", "skipped"]
    summary: str
    measure: str = Field(default="", description="What the figure is of, as `snr`; rungs have several")
    value: float | None = None
    limit: float | None = None
    sense: Literal["at least", "at most"] = "at least"

    @property
    def margin(self) -> float | None:
        """How far the figure is inside its limit, in its own unit; negative for a miss, None where nothing decides."""
        if self.value is None or self.limit is None:
            return None
        return self.value - self.limit if self.sense == "at least" else self.limit - self.value


class MeasuredQuality(MeasurementPart):
    """Which objects the judge recognised. Two runs of the same `made` are pairs, object by object."""

    made: str = Field(description="sha256 of prompts, seeds, captions, views and judge")
    hits: str = Field(pattern="^[01]*$", description="One character for each object: 1 where its caption came first")

    @property
    def rate(self) -> float:
        """R-Precision in percent."""
        return 100.0 * self.hits.count("1") / max(1, len(self.hits))


class MeasuredSpeed(MeasurementPart):
    """How many times as fast as PyTorch an evaluation of a sampler is: the median, and the middle half of rounds."""

    ratio: float
    low: float
    high: float
    processor: str


class Measurement(MeasurementPart):
    """One recipe on one target. `quality` is None for random weights, `speed` where the target does not run here."""

    bundle_digest: str
    weights_digest: str
    stored_bytes: int
    rungs: dict[str, RungFigures]
    quality: MeasuredQuality | None = None
    speed: MeasuredSpeed | None = None

    @property
    def failed(self) -> bool:
        """Whether a rung missed its tolerance."""
        return any(rung.status == "failed" for rung in self.rungs.values())
