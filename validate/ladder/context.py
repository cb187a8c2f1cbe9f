"""What every rung is given: the bundle, its reference, and the settings both are judged with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from exporter.errors import RecipeError
from exporter.recipe.recipe import Tolerances
from exporter.runtime.generator import Generator, OnStep
from exporter.runtime.inputs.noise import object_seeds, unit_noise
from validate.judge.clip import Evaluator
from validate.judge.prompts import Prompt
from validate.ladder.no_reference import NoReference
from validate.ladder.trajectory import Trajectory
from validate.objects.elsewhere import Elsewhere
from validate.objects.memory import ObjectMemory
from validate.objects.objects import Progress, Views

Arrays = dict[str, np.ndarray]


class StageSpec(Protocol):
    """The part of a manifest's stage that validation reads."""

    @property
    def inputs(self) -> list[Any]: ...
    @property
    def outputs(self) -> list[Any]: ...
    @property
    def precision(self) -> str: ...


@dataclass(frozen=True)
class QualityPlan:
    """Which objects are made for the judge, and what it chooses from.

    `reference`: whose objects the bundle's are compared with, where that is not the reference of the other rungs;
    `against` says how it samples, `memory` keeps its objects.
    `elsewhere` makes them, where that is not this process.
    """

    prompts: tuple[Prompt, ...]
    captions: tuple[Prompt, ...]
    seeds: int
    under_specified: tuple[Prompt, ...]
    under_specified_seeds: int
    evaluator: Evaluator
    max_drop_points: float
    views: Views = field(default_factory=Views)
    batch: int = 32
    workers: int = 0
    reference: Generator | None = None
    against: str = ""
    memory: ObjectMemory | None = None
    elsewhere: Elsewhere | None = None


@dataclass
class Context:
    """Both generators with the settings of one validation; what several rungs need is computed once.

    `goldens` maps a stage to its recorded files; `run_stage(stage, inputs)` runs one program of the bundle.
    """

    bundle: Generator
    reference: Generator | NoReference
    run_stage: Callable[[str, Arrays], Arrays]
    stages: Mapping[str, StageSpec]
    goldens: Mapping[str, list[Path]]
    tolerances: Mapping[str, Tolerances]
    prompts: list[str]
    seed: int
    unroll: str
    quality: QualityPlan | None
    quality_refusal: str = ""
    grid: int = 64
    picture_size: int = 48
    progress: Progress | None = None
    trajectory: Trajectory = field(default_factory=Trajectory)
    _latents: NDArray[np.float32] | None = None
    _embedding: NDArray[np.float32] | None = None

    def tolerance(self, *stages: str) -> Tolerances:
        """The tolerances of the precisions of these stages, those the bundle has, together."""
        present = {self.stages[name].precision for name in stages if name in self.stages}
        if lacking := sorted(present - set(self.tolerances)):
            raise RecipeError(f"validation.tolerances has no section for {lacking[0]}, a precision of {stages}")
        return Tolerances.together([self.tolerances[precision] for precision in present])

    @property
    def embedding(self) -> NDArray[np.float32]:
        """The reference's embeddings [B, E] of the prompts."""
        if self._embedding is None:
            self._embedding = self.reference.encode(self.prompts)
        return self._embedding

    @property
    def noise(self) -> NDArray[np.float32]:
        """Unit normal noise [B, N, D], a seed of its own for every prompt."""
        return unit_noise(object_seeds(self.seed, len(self.prompts)), self.reference.latent_shape)

    def sample_reference(self, on_step: OnStep | None = None) -> NDArray[np.float32]:
        """The reference's latents [B, N, D], kept with some of its way; runs again only for an observer."""
        if self._latents is None or on_step is not None:
            self.trajectory = Trajectory(on_step)
            self._latents = self.reference.sample(self.embedding, self.noise, self.trajectory)
        return self._latents

    def report(self, what: str, done: int, total: int) -> None:
        if self.progress:
            self.progress(what, done, total)
