"""Programs whose every call is a lap of its stage's name, for one object or one batch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from exporter.pipeline.pipeline import EVALUATED, Pipeline
from exporter.runtime.run import Arrays, Draws, OnStep, Request
from validate.bench.laps import Laps

if TYPE_CHECKING:
    from validate.bench.sides import Side

INPUTS = "inputs"


@dataclass
class TimedPrograms:
    """A side's programs. `places`: by stage, at how many points or along how many rays it was evaluated.

    `most`: where it is given, a sampler stops after that many evaluations, and its lap is what all of them would take.
    `latents`: by name, what a sampler gives in place of what it sampled.
    """

    side: Side
    most: int | None = None
    latents: Arrays = field(default_factory=dict)
    laps: Laps = field(default_factory=Laps)
    places: Counter[str] = field(default_factory=Counter)

    @property
    def pipeline(self) -> Pipeline:
        return self.side.pipeline

    def read(self, requests: Sequence[Request]) -> Arrays:
        with self.laps(INPUTS):
            return self.side.programs.read(requests)

    def run_program(self, stage: str, arrays: Arrays) -> Arrays:
        part = self.pipeline.stages[stage]
        if part.kind in EVALUATED:
            self.places[stage] += math.prod(arrays[part.evaluated_at.name].shape[:2])
        with self.laps(stage):
            return self.side.run_program(stage, arrays)

    def sample(
        self,
        stage: str,
        arrays: Arrays,
        noise: np.ndarray,
        on_step: OnStep | None = None,
        draws: Draws | None = None,
    ) -> np.ndarray:
        part, every = self.pipeline.stages[stage], self.side.evaluations(stage)
        count = every if self.most is None or part.is_whole_sampler else min(self.most, every)
        with self.laps(stage):
            found = self.side.sample(stage, arrays, noise, on_step, count, draws)
        self.laps.seconds[stage] *= every / count
        return self.latents.get(part.makes[0].name, found)
