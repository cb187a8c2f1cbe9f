"""A run of a pipeline: tensors by name, each made when it is first wanted, and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from exporter.errors import RecipeError
from exporter.pipeline.pipeline import Pipeline
from exporter.pipeline.sampling import name_of
from exporter.pipeline.tensor import POINTS, POINTS_AT_ONCE, RAYS, RAYS_AT_ONCE
from exporter.runtime.inputs.noise import noise
from exporter.runtime.inputs.values import require_seed

Arrays = dict[str, np.ndarray]
# By the name of an input, what is given for it: {"prompt": "a red chair"}.
Request = Mapping[str, Any]
OnStep = Callable[[int, np.ndarray, np.ndarray], None]
# Unit normal noise [B, *latents] by its number: 1 + i goes into evaluation i of a sampler with churn.
Draws = Callable[[int], np.ndarray]
AT_ONCE = {POINTS: POINTS_AT_ONCE, RAYS: RAYS_AT_ONCE}


class Programs(Protocol):
    """What runs the stages of a pipeline: a bundle with its programs, the original with its own modules."""

    @property
    def pipeline(self) -> Pipeline: ...

    def read(self, requests: Sequence[Request]) -> Arrays:
        """What is asked for to the pipeline's input tensors, one row an object."""

    def run_program(self, stage: str, arrays: Arrays) -> Arrays:
        """A stage's outputs from its inputs, by name; arrays that are no input of it are left alone."""

    def sample(
        self,
        stage: str,
        arrays: Arrays,
        noise: np.ndarray,
        on_step: OnStep | None = None,
        draws: Draws | None = None,
    ) -> np.ndarray:
        """Latents from the conditions of a stage of kind sample and unit normal noise [B, *latents] to begin with;
        `draws`: the noise of later evaluations, which a sampler with churn takes.

        `on_step(i, sample, prediction)` sees what went into evaluation i and the guided prediction made of it, where
        evaluations are visible (unroll: step).
        """


class Run:
    """The tensors of a batch of objects, one row each. `seeds`: what their noise is drawn from, one an object.
    `others`: by name, runs of what else the samplers are conditioned on, such as a negative prompt.

    Raises RecipeError for a seed that is no whole number from 0 to 2^64 - 1.
    """

    def __init__(
        self,
        programs: Programs,
        given: Arrays,
        seeds: Sequence[int] = (),
        on_step: OnStep | None = None,
        others: Mapping[str, Run] | None = None,
    ) -> None:
        self.programs = programs
        self.pipeline = programs.pipeline
        self.tensors = dict(given)
        self.seeds = [require_seed(seed) for seed in seeds]
        self.on_step = on_step
        self.others = dict(others or {})
        # Gets a stage and at how many more points, or along how many rays, it was evaluated.
        self.on_places: Callable[[str, int], None] | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        """A tensor [B, ...]. Raises RecipeError for one that no stage makes."""
        if name not in self.tensors:
            self._make(self.pipeline.maker(name))
        return self.tensors[name]

    def taken_by(self, stage: str) -> Arrays:
        """The tensors that a stage takes, of a sampler those of other sets of conditions too: where one is not given,
        zeros stand for no prompt and the prompt's own for a prompt; what is sampled is the same in all sets."""
        part = self.pipeline.stages[stage]
        own = {spec.name: self[spec.name] for spec in part.takes}
        taken = dict(own)
        for name, schedule in part.conditions.items():
            for tensor, array in own.items():
                if name in self.others and not self.pipeline.is_sampled(tensor):
                    other = self.others[name][tensor]
                else:
                    other = array if schedule.replaces == "prompt" else np.zeros_like(array)
                taken[name_of(name, tensor)] = other
        return taken

    def at(self, stage: str, places: np.ndarray, *outputs: str, chunk: int | None = None) -> Arrays:
        """Outputs [P, ...] of a field at points [P, 3], or of a renderer along rays [P, 2, 3], of the only object.

        They are evaluated `chunk` at a time. Points and rays are in the cube from -1 to 1, whatever the stage's own.
        Raises RecipeError for a run of several objects.
        """
        self.require_one()
        port = self.pipeline.stages[stage].evaluated_at
        size = chunk or AT_ONCE[POINTS if POINTS in port.shape else RAYS]
        context, own = self.taken_by(stage), in_own_units(self.pipeline, stage, places)
        parts = []
        for i in range(0, len(places), size):
            some = own[None, i : i + size]
            parts.append(self.programs.run_program(stage, context | {port.name: some}))
            if self.on_places:
                self.on_places(stage, some.shape[1])
        return {name: np.concatenate([part[name][0] for part in parts]) for name in outputs}

    def encode_texts(self) -> Run:
        """Make what encoders make of texts alone, of all objects together; the run itself."""
        texts = {source.tensor for source in self.pipeline.texts.values()}
        for name in self.pipeline.of_kind("encode"):
            stage = self.pipeline.stages[name]
            if texts.issuperset(spec.name for spec in stage.takes):
                self[stage.makes[0].name]
        return self

    def sample(self) -> Run:
        """Make all latents, of all objects together; the run itself."""
        for name in self.pipeline.latents:
            self[name]
        return self

    def objects(self) -> Iterator[Run]:
        """Each object alone, with what is made of it so far."""
        return self.parts(1)

    def parts(self, size: int) -> Iterator[Run]:
        """So many objects at a time, with what is made of them so far."""
        for start in range(0, self.count, size):
            yield self._rows(slice(start, start + size))

    def first(self, count: int) -> Run:
        """The first objects alone, with what is made of them so far."""
        return self._rows(slice(count))

    def _rows(self, rows: slice) -> Run:
        tensors = {name: tensor[rows] for name, tensor in self.tensors.items()}
        others = {name: other._rows(rows) for name, other in self.others.items()}
        return Run(self.programs, tensors, self.seeds[rows], self.on_step, others)

    def require_one(self) -> None:
        """Raises RecipeError for a run of several objects, of which one at a time is evaluated or becomes a file."""
        if self.count > 1:
            raise RecipeError(
                f"this run is of {self.count} objects, and one is wanted: take each of `run.objects()` alone"
            )

    def draws(self, stage: str) -> Draws:
        """The noise of a stage of kind sample, each object's from its own seed: draw 0 is what sampling begins with.

        Every such stage has a stream of its own, the first the one that a pipeline of one sampler has.
        """
        stream = self.pipeline.of_kind("sample").index(stage)
        return partial(unit_noise, self.seeds, self.pipeline.stages[stage].makes[0].shape[1:], stream)

    @property
    def count(self) -> int:
        """How many objects there are."""
        return len(next(iter(self.tensors.values()))) if self.tensors else len(self.seeds)

    def _make(self, stage: str) -> None:
        takes = self.taken_by(stage)
        if self.pipeline.stages[stage].kind == "sample":
            latents = self.pipeline.stages[stage].makes[0]
            draws = self.draws(stage)
            self.tensors[latents.name] = self.programs.sample(stage, takes, draws(0), self.on_step, draws)
        else:
            self.tensors |= self.programs.run_program(stage, takes)


def make(
    programs: Programs,
    requests: Sequence[Request],
    seeds: Sequence[int],
    on_step: OnStep | None = None,
    others: Mapping[str, Sequence[Request]] | None = None,
) -> Run:
    """A run of one object for each request, from the noise of its seed; `others`: by the name of another set of
    conditions, a request an object. Raises RecipeError for an input that a request does not give, and a set of
    conditions that no sampler takes."""
    known = programs.pipeline.condition_sets
    for name in others or {}:
        if name not in known:
            takes = f"; it takes {', '.join(known)}" if known else ""
            raise RecipeError(
                f"the sampler was not exported to take '{name}'{takes}. A recipe asks for it, as in "
                "sampler.conditions.negative: {replaces: none}"
            )
    runs = {name: Run(programs, programs.read(_whole(programs, given))) for name, given in (others or {}).items()}
    return Run(programs, programs.read(_whole(programs, requests)), seeds, on_step, runs)


def _whole(programs: Programs, requests: Sequence[Request]) -> Sequence[Request]:
    for request in requests:
        if missing := [name for name in programs.pipeline.inputs if name not in request]:
            raise RecipeError(f"input '{missing[0]}' is not given, {', '.join(request) or 'nothing'} is")
    return requests


def unit_noise(seeds: Sequence[int], shape: Sequence[int | str], stream: int = 0, draw: int = 0) -> np.ndarray:
    """Unit normal noise [B, *shape], of each object from its own seed."""
    sizes = tuple(int(size) for size in shape)
    return np.stack([noise(seed, sizes, draw, stream) for seed in seeds])


def in_own_units(pipeline: Pipeline, stage: str, places: np.ndarray) -> np.ndarray:
    """Points [..., 3] or rays [..., 2, 3] in the cube from -1 to 1 as a stage of kind field or render takes them."""
    if pipeline.half_width == 1.0:
        return places
    scale = np.full(3, pipeline.half_width, np.float32)
    # A direction has no place.
    return places * (scale if pipeline.stages[stage].kind == "field" else np.stack([scale, np.ones(3, np.float32)]))


def requests_of(pipeline: Pipeline, given: Sequence[str], folder: Path | None = None) -> list[Request]:
    """One request for each text, or path of a picture from `folder` on, which every input gets; of a pipeline that
    takes nothing from outside at least one."""
    if not pipeline.inputs:
        return [{} for _ in given] or [{}]
    pictures = pipeline.pictures
    return [
        {name: str((folder or Path()) / one) if name in pictures else one for name in pipeline.inputs} for one in given
    ]
