"""What is timed: a bundle, or the PyTorch original in one of its forms, each making the same object.

Does not import torch by itself, so that a bundle's memory is the bundle's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from exporter.errors import RecipeError
from exporter.machine.timing import Action, timed
from exporter.manifest import Manifest
from exporter.pipeline.assets import Asset
from exporter.pipeline.pipeline import Pipeline
from exporter.pipeline.sampling import NOISE, STEP, Sampling
from exporter.runtime.assets.pictures import picture_of, picture_size, rendered_picture
from exporter.runtime.assets.points import points_of
from exporter.runtime.batch import made_objects
from exporter.runtime.bundle import Bundle
from exporter.runtime.guidance import guided_evaluations
from exporter.runtime.run import Arrays, Draws, OnStep, Programs, Request, Run, make, requests_of, unit_noise
from exporter.runtime.sampler_loop import first_state, sample
from validate.bench.timed_programs import TimedPrograms

# What a pipeline without an asset ends in.
TENSORS = "tensors"
Maker = Callable[[Run], object]


@dataclass(frozen=True)
class Work:
    """What every side makes of a prompt: the pipeline's assets, a mesh on a `grid` (None: its own).

    An image that is not the first asset is made where it has `picture` pixels along an edge; one that a stage makes as
    a tensor has its own size.
    """

    prompt: str
    grid: int | None = None
    picture: int | None = None


@dataclass(frozen=True)
class MadeObject:
    """Seconds up to the first asset, by part: reading the inputs, each stage, and what the asset itself takes; of each
    asset that is made `besides` it; and of one evaluation of each sampler, with both branches of guidance.

    `places`: by stage, at how many points or along how many rays it was evaluated for the first asset.
    """

    seconds: dict[str, float]
    besides: dict[str, float]
    steps: dict[str, float]
    places: Counter[str]
    run: Run

    @property
    def latents(self) -> Arrays:
        """What was sampled, by name."""
        return _latents(self.run)


class Side(ABC):
    """One side of a comparison: the programs of a pipeline, and how they are timed."""

    programs: Programs

    @property
    def pipeline(self) -> Pipeline:
        return self.programs.pipeline

    @abstractmethod
    def open(self) -> None:
        """Everything that is needed before the first prompt."""

    @abstractmethod
    def evaluations(self, stage: str) -> int:
        """Of a sampler for one object."""

    @abstractmethod
    def guided_evaluations(self, stage: str) -> NDArray[np.bool_]:
        """Which of them have both branches of guidance."""

    @abstractmethod
    def evaluation(self, stage: str, conditions: Arrays) -> Action:
        """One evaluation of a sampler for one object, both branches of guidance included.

        Raises RecipeError where the sampler is one program.
        """

    @abstractmethod
    def run_program(self, stage: str, arrays: Arrays) -> Arrays:
        """As of `Programs`, with nothing remembered: every object starts from its inputs."""

    @abstractmethod
    def sample(
        self,
        stage: str,
        arrays: Arrays,
        noise: np.ndarray,
        on_step: OnStep | None,
        evaluations: int,
        draws: Draws | None,
    ) -> np.ndarray:
        """As of `Programs`, stopped after `evaluations` evaluations."""

    @abstractmethod
    def mesh(self, run: Run, grid: int) -> object:
        """The mesh of a run's only object."""

    @abstractmethod
    def picture(self, run: Run, size: int) -> object:
        """An image of a run's only object, from its renderer."""

    def steps(self, prompt: str) -> dict[str, Action]:
        """One evaluation of each sampler."""
        run = make(TimedPrograms(self, most=1), *self._asked([prompt]))
        return {stage: self.evaluation(stage, run.taken_by(stage)) for stage in self.pipeline.of_kind("sample")}

    def step(self, prompt: str) -> Action:
        """One evaluation of each sampler, one after the other."""
        actions = list(self.steps(prompt).values())
        return lambda: [action() for action in actions]

    def run_before_places(self, prompt: str) -> None:
        """Of a pipeline that samples nothing, all that is run before points and rays are evaluated."""
        if self.pipeline.of_kind("sample"):
            return
        run = make(self.programs, *self._asked([prompt]))
        for stage in self.pipeline.of_kind("encode", "map"):
            run[self.pipeline.stages[stage].makes[0].name]

    def make(self, work: Work, evaluations: int | None = None, latents: Arrays | None = None) -> MadeObject:
        """One object. With `evaluations` each sampler runs only that many, and has the time of all of them; `latents`,
        where they are given, are what is decoded then."""
        programs = TimedPrograms(self, evaluations, latents or {})
        run = make(programs, *self._asked([work.prompt]))
        (first, maker), *others = self._makers(work).items()
        with programs.laps(first):
            maker(run)
        seconds, places = dict(programs.laps.seconds), Counter(programs.places)
        besides = {name: timed(partial(other, run)) for name, other in others}
        return MadeObject(seconds, besides, self._step_seconds(run, seconds), places, run)

    def make_many(self, prompts: Sequence[str], grid: int | None) -> None:
        """The objects of many prompts, sampled together as `t3export run` does it."""
        for run in made_objects(TimedPrograms(self), *self._asked(prompts)):
            for maker in self._makers(Work("", grid)).values():
                maker(run)

    def sampled(self, prompt: str, evaluations: int) -> Arrays:
        """Latents of a prompt after `evaluations` evaluations of each sampler."""
        return _latents(make(TimedPrograms(self, evaluations), *self._asked([prompt])))

    def _asked(self, prompts: Sequence[str]) -> tuple[list[Request], list[int]]:
        """Requests and seeds: a prompt gives the same object alone as among others."""
        return requests_of(self.pipeline, prompts), [0] * len(prompts)

    def _makers(self, work: Work) -> dict[str, Maker]:
        """What makes each asset, by name; all tensors of a pipeline without assets."""
        first, assets = next(iter(self.pipeline.assets), None), self.pipeline.assets
        wanted = {name: a for name, a in assets.items() if name == first or a.kind != "image" or work.picture}
        return {name: self._maker(asset, work) for name, asset in wanted.items()} or {TENSORS: _all_tensors}

    def _maker(self, asset: Asset, work: Work) -> Maker:
        if asset.kind == "mesh":
            return partial(self.mesh, grid=work.grid or asset.grid)
        if asset.kind == "points":
            return points_of
        if asset.size is None:
            return picture_of
        return partial(self.picture, size=work.picture or max(picture_size(self.pipeline, asset)))

    def _step_seconds(self, run: Run, seconds: dict[str, float]) -> dict[str, float]:
        """A share of all evaluations, or of its own where only some of them have both branches."""
        found = {}
        for stage in self.pipeline.of_kind("sample"):
            if stage not in seconds:
                continue
            guided = self.guided_evaluations(stage)
            if self.pipeline.stages[stage].is_whole_sampler or guided.all() or not guided.any():
                found[stage] = seconds[stage] / len(guided)
            else:
                found[stage] = timed(self.evaluation(stage, run.taken_by(stage)))
        return found


class BundleSide(Side):
    """A bundle, each of its sessions with `threads` threads (0: as the bundle says)."""

    def __init__(self, bundle: Bundle, threads: int = 0) -> None:
        manifest = _with_threads(bundle.manifest, threads)
        self.programs = self.bundle = Bundle(bundle.folder, manifest, bundle.stand_in, bundle.memory_limit_mb)

    def open(self) -> None:
        for stage in self.pipeline.stages:
            self.bundle.session(stage)

    def evaluations(self, stage: str) -> int:
        return self._sampling(stage).evaluations

    def guided_evaluations(self, stage: str) -> NDArray[np.bool_]:
        return guided_evaluations(self.bundle.folder, self._sampling(stage))

    def evaluation(self, stage: str, conditions: Arrays) -> Action:
        sampling = self._sampling(stage)
        if sampling.unroll != "step":
            raise RecipeError(f"stage '{stage}' is one program (unroll: {sampling.unroll}): it has no step of its own")
        session = self.bundle.session(stage)
        unit = unit_noise([0], sampling.latents.shape[1:])
        state = first_state(sampling, unit) | ({NOISE: unit} if sampling.churn else {})
        inputs = state | conditions | {STEP: np.array(self.guided_evaluations(stage).argmax(), np.int64)}
        return lambda: session.run(inputs)

    def run_program(self, stage: str, arrays: Arrays) -> Arrays:
        return self.bundle.session(stage).run(arrays)

    def sample(
        self,
        stage: str,
        arrays: Arrays,
        noise: np.ndarray,
        on_step: OnStep | None,
        evaluations: int,
        draws: Draws | None,
    ) -> np.ndarray:
        conditions = {spec.name: arrays[spec.name] for spec in self.pipeline.stages[stage].all_conditions}
        sampling = self._sampling(stage).model_copy(update={"evaluations": evaluations})
        return sample(sampling, partial(self.run_program, stage), conditions, noise, on_step, draws)

    def mesh(self, run: Run, grid: int) -> object:
        return self.bundle.mesh(run, grid)

    def picture(self, run: Run, size: int) -> object:
        return rendered_picture(run, size)

    def _sampling(self, stage: str) -> Sampling:
        return self.pipeline.samplings[stage]


def _latents(run: Run) -> Arrays:
    """What the samplers of a run have made or make now, by name."""
    stages = run.pipeline.stages
    names = [stages[stage].makes[0].name for stage in run.pipeline.of_kind("sample")]
    return {name: run[name] for name in names}


def _all_tensors(run: Run) -> None:
    for name in run.pipeline.made:
        run[name]


def _with_threads(manifest: Manifest, threads: int) -> Manifest:
    session = manifest.target.get("session", {})
    return manifest.model_copy(
        update={"target": manifest.target | {"session": session | ({"threads": threads} if threads else {})}}
    )


def first_object(bundle: Bundle) -> str:
    """What the first golden of a bundle is made of: a text, the path of a picture, or nothing."""
    if not bundle.pipeline.inputs:
        return ""
    first: str = bundle.manifest.recipe["goldens"]["prompts"][0]
    return str(bundle.folder / first) if bundle.pipeline.pictures else first
