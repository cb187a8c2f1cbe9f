"""The original model in PyTorch, numpy in and out: what every program is compared with."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from typing import Any

import numpy as np
import torch

from exporter.pipeline.pipeline import Pipeline
from exporter.recipe.recipe import Recipe
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.run import Arrays, Draws, OnStep, Request, Run
from exporter.runtime.surface.decoded import mesh_of
from exporter.sampling.original_sampler import OriginalSampler
from exporter.sampling.schedulers import clip_range, schedule_of


class Original(ABC):
    """The model as its authors publish it, its own modules and preprocessing, behind the `Programs` protocol.

    A subclass gives `read`, `run_program`, `predict` and, where its assets are made in another way than a bundle's,
    `mesh`; the sampling loop is the same for all.
    """

    def __init__(self, pipeline: Pipeline, recipe: Recipe, schedulers: Callable[[str], Any]) -> None:
        self.pipeline = _with_conditions(pipeline, recipe)
        self.recipe = recipe
        self.schedulers = schedulers
        self.samplers = {stage: self._sampler(stage, schedulers(stage)) for stage in pipeline.of_kind("sample")}

    @abstractmethod
    def read(self, requests: Sequence[Request]) -> Arrays:
        """What is asked for to the pipeline's input tensors, by the model's own preprocessing."""

    @abstractmethod
    def run_program(self, stage: str, arrays: Arrays) -> Arrays:
        """A stage that is not sampled: its outputs from its inputs, by name."""

    @abstractmethod
    def predict(
        self, stage: str, sample: torch.Tensor, timestep: torch.Tensor, *conditions: torch.Tensor
    ) -> torch.Tensor:
        """The network's raw prediction for a scaled sample [B,*latents] at one timestep."""

    def sample(
        self,
        stage: str,
        arrays: Arrays,
        noise: np.ndarray,
        on_step: OnStep | None = None,
        draws: Draws | None = None,
    ) -> np.ndarray:
        """The latents of a stage, from its conditions by name and unit normal noise."""
        return self.samplers[stage].sample(self.conditions(stage, arrays), noise, on_step, draws=draws)

    def conditions(self, stage: str, arrays: Arrays) -> list[np.ndarray]:
        """What a stage of kind sample takes, other sets of conditions included, in its order."""
        return [arrays[spec.name] for spec in self.pipeline.stages[stage].all_conditions]

    def ends_within(self, stage: str) -> float:
        """The magnitude that a model's own scheduler clips x0 to, infinite where it clips nothing."""
        own = self.schedulers(stage)
        return clip_range(own) if own.config.get("clip_sample", False) else math.inf

    def mesh(self, run: Run, grid: int) -> Mesh:
        """One object's mesh as the original makes it."""
        return mesh_of(run, grid, exact=True)

    @abstractmethod
    def load(self) -> None:
        """Load what is otherwise loaded when it is first used."""

    def sampled_by(self, recipe: Recipe) -> Original:
        """The same model, loaded once, under a recipe with another sampler."""
        other = copy(self)
        other.recipe = recipe
        other.samplers = {stage: other._sampler(stage, other.schedulers(stage)) for stage in self.samplers}
        return other

    def with_network(self, wrap: Callable[[torch.nn.Module], torch.nn.Module]) -> Original:
        """The same original with `wrap(network)` in the place of the networks that `predict` calls."""
        raise TypeError(f"{type(self).__name__} does not say which its network is")

    def _sampler(self, stage: str, scheduler: Any) -> OriginalSampler:
        settings = self.recipe.sampler_of(stage)
        schedule, clip = schedule_of(settings, scheduler), clip_range(scheduler)
        return OriginalSampler(partial(self.predict, stage), schedule, clip, settings)


def _with_conditions(pipeline: Pipeline, recipe: Recipe) -> Pipeline:
    """A family's pipeline with the other sets of conditions that a recipe's samplers take."""
    wanted = {name: recipe.sampler_of(name).conditions for name in pipeline.of_kind("sample")}
    stages = {
        name: stage.model_copy(update={"conditions": wanted[name]}) if wanted.get(name) else stage
        for name, stage in pipeline.stages.items()
    }
    return pipeline.model_copy(update={"stages": stages})
