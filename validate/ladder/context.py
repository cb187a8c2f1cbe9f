"""What every rung is given: the bundle, its reference, and the settings both are judged with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter.errors import RecipeError
from exporter.manifest import StagePart
from exporter.pipeline.pipeline import Pipeline
from exporter.recipe.validation_section import Tolerances
from exporter.runtime.run import OnStep, Programs, Request, Run, make, requests_of
from validate.judge.clip import Evaluator
from validate.judge.prompts import Prompt
from validate.ladder.no_reference import NoReference
from validate.ladder.trajectory import Trajectory
from validate.objects.elsewhere import Elsewhere
from validate.objects.memory import ObjectMemory
from validate.objects.objects import Progress, Views

# Given a stage of kind sample and the run that is about to sample it: what sees every step of it, if anything does.
Observe = Callable[[str, Run], OnStep | None]


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
    reference: Programs | None = None
    against: str = ""
    memory: ObjectMemory | None = None
    elsewhere: Elsewhere | None = None


@dataclass
class Context:
    """Both sides with the settings of one validation; what several rungs need is computed once.

    `prompts`: what is made, of a pipeline that takes pictures their paths from `folder` on. `goldens` maps a stage to
    its recorded files. `trajectories`: by stage of kind sample, some of the reference's way.
    """

    bundle: Programs
    reference: Programs | NoReference
    stages: Mapping[str, StagePart]
    goldens: Mapping[str, list[Path]]
    tolerances: Mapping[str, Tolerances]
    prompts: list[str]
    seed: int
    quality: QualityPlan | None
    quality_refusal: str = ""
    folder: Path = field(default_factory=Path)
    grid: int = 64
    picture_size: int = 48
    progress: Progress | None = None
    trajectories: dict[str, Trajectory] = field(default_factory=dict)
    _run: Run | None = None

    def tolerance(self, *stages: str) -> Tolerances:
        """The tolerances of the precisions of these stages, those the bundle has, together."""
        present = {self.stages[name].precision for name in stages if name in self.stages}
        if lacking := sorted(present - set(self.tolerances)):
            raise RecipeError(f"validation.tolerances has no section for {lacking[0]}, a precision of {stages}")
        return Tolerances.together([self.tolerances[precision] for precision in present])

    @property
    def pipeline(self) -> Pipeline:
        """What the bundle is."""
        return self.bundle.pipeline

    def start(self, programs: Programs, on_step: OnStep | None = None) -> Run:
        """A run of one side: the prompts, each from noise of its own."""
        return make(programs, self._requests, self._seeds, on_step)

    def sampled(self, observe: Observe | None = None) -> Run:
        """The reference's run with its latents, kept with some of its way; sampled again only to be observed."""
        if self._run is None or observe:
            run = self.start(self.reference)
            for stage in self.pipeline.of_kind("sample"):
                self.trajectories[stage] = Trajectory(observe(stage, run) if observe else None)
                run.on_step = self.trajectories[stage]
                run[self.pipeline.stages[stage].makes[0].name]
            self._run = run
        return self._run

    def decoded(self) -> Iterator[tuple[str, Run, Run]]:
        """Of each prompt the reference's and the bundle's run, both from the reference's latents."""
        given = self.bundle.read(self._requests)
        given |= {name: self.sampled()[name] for name in self.pipeline.latents}
        sides = zip(self.sampled().objects(), Run(self.bundle, given, self._seeds).objects(), strict=True)
        for prompt, (reference, bundle) in zip(self.prompts, sides, strict=True):
            yield prompt, reference, bundle

    @property
    def _requests(self) -> list[Request]:
        return requests_of(self.pipeline, self.prompts, self.folder)

    @property
    def _seeds(self) -> list[int]:
        return [self.seed + index for index in range(len(self.prompts))]

    def report(self, what: str, done: int, total: int) -> None:
        if self.progress:
            self.progress(what, done, total)
