"""The result of a sensitivity run as data: what each layer loses and saves in each precision, alone."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from exporter.recipe.policy import Operator
from exporter.search.error_metric import Parts, decibels, mean_nsr


@dataclass(frozen=True)
class Loss:
    """One layer in one precision, everything else in fp32.

    `candidate`: its label. `measured_in`: the stage in whose outputs the noise is measured. `nsr`: noise-to-signal
    ratio by part (of a sampler thirds of the noise levels, of others each output). `bytes_saved` of stored weights and
    `milliseconds_saved` of one object, where negative is lost.
    """

    stage: str
    layer: str
    operator: Operator
    candidate: str
    measured_in: str
    nsr: Parts
    bytes_saved: int
    milliseconds_saved: float

    @property
    def total(self) -> float:
        """The mean NSR over the parts: what adds up over layers."""
        return mean_nsr(self.nsr)

    @property
    def snr_db(self) -> float:
        return decibels(self.total)


@dataclass(frozen=True)
class Sensitivity:
    """All losses of a recipe, in the order of its layers.

    `stored_bytes` of the float weights by stage; `milliseconds`: all linear layers of one object in fp32 on `machine`;
    `prompts`: how many the noise was measured on.
    """

    recipe: str
    weights: str
    target: str
    machine: dict[str, str | int]
    prompts: int
    stored_bytes: dict[str, int]
    milliseconds: float
    losses: list[Loss] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """JSON data, decibels beside every NSR; null where there is no finite number."""
        data = asdict(self)
        for told, loss in zip(data["losses"], self.losses, strict=True):
            snr_db = {part: decibels(value) for part, value in loss.nsr.items()} | {"mean": loss.snr_db}
            told |= {"nsr": _finite(loss.nsr), "snr_db": _finite(snr_db)}
        return data


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
