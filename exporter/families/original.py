"""The original model in PyTorch, numpy in and out: what every program is compared with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from exporter.pipeline.pipeline import Pipeline
from exporter.recipe.recipe import Recipe, SamplerSection
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.guidance import guided_at
from exporter.runtime.run import Arrays, OnStep, Request, Run
from exporter.runtime.surface.decoded import mesh_of
from exporter.sampling.schedulers import clip_range, noise_levels, schedule_of, start, timesteps_for_model

Conditions = Sequence[torch.Tensor]


class Sampler:
    """The sampling loop of the original: its network and its scheduler's own `step`.

    `predict(sample [B,*], timestep, conditions)` is the network's raw prediction for a scaled sample.
    """

    def __init__(self, predict: Callable[..., torch.Tensor], scheduler: Any, settings: SamplerSection) -> None:
        self.predict = predict
        self.settings = settings
        self.scheduler = schedule_of(settings, scheduler)
        self.clip = clip_range(scheduler)

    @property
    def timesteps(self) -> torch.Tensor:
        """What the scheduler is told of each evaluation [T]."""
        return start(self.scheduler, self.settings.steps)

    @property
    def model_timesteps(self) -> torch.Tensor:
        """What the network is told of each evaluation [T]."""
        return timesteps_for_model(self.timesteps, self.settings.clamp)

    def guided_evaluations(self) -> NDArray[np.bool_]:
        """Which evaluations [T] are guided."""
        levels = noise_levels(self.scheduler, self.timesteps)
        return guided_at(levels, self.settings.guidance_scale, self.settings.guidance_interval)

    @torch.inference_mode()
    def guided(self, sample: torch.Tensor, timestep: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """The guided prediction for a scaled sample, clamped before mixing where the order is OpenAI's."""
        scale = self.settings.guidance_scale
        if scale <= 1.0:
            return self.unguided(sample, timestep, conditions)
        both = [torch.cat([torch.zeros_like(condition), condition]) for condition in conditions]
        unconditional, conditional = self.unguided(torch.cat([sample, sample]), timestep, both).chunk(2)
        return unconditional + scale * (conditional - unconditional)

    @torch.inference_mode()
    def unguided(self, sample: torch.Tensor, timestep: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """The prediction with the conditions alone, clamped where the order is OpenAI's."""
        prediction = self.predict(sample, timestep, *conditions)
        return prediction.clamp(-self.clip, self.clip) if self.settings.clamp == "openai" else prediction

    @torch.inference_mode()
    def sample(
        self,
        conditions: Sequence[np.ndarray],
        noise: np.ndarray,
        on_step: OnStep | None = None,
        evaluations: int | None = None,
    ) -> np.ndarray:
        """Conditions [B,...] and unit normal noise [B,*latents] to latents.

        `on_step(i, sample, prediction)` sees the sample that went into evaluation i and the prediction made from it,
        before the scheduler's clamp. The scheduler's own arithmetic runs in float64, so that its rounding is not
        counted against a program. With `evaluations` the loop stops early.
        """
        given = [torch.from_numpy(condition) for condition in conditions]
        guided = self.guided_evaluations()
        timesteps = self.timesteps
        sample = torch.from_numpy(noise) * float(self.scheduler.init_noise_sigma)
        for i, (timestep, model_timestep) in enumerate(zip(timesteps, self.model_timesteps, strict=True)):
            if i == evaluations:
                break
            scaled = self.scheduler.scale_model_input(sample.double(), timestep).float()
            predict = self.guided if guided[i] else self.unguided
            prediction = predict(scaled, model_timestep, given)
            if on_step:
                on_step(i, sample.numpy(), prediction.numpy())
            sample = self.scheduler.step(prediction.double(), timestep, sample.double()).prev_sample.float()
        return sample.numpy()


class Original(ABC):
    """The model as its authors publish it, its own modules and preprocessing, behind the `Programs` protocol.

    A subclass gives `read`, `run_program`, `predict` and, where its assets are made in another way than a bundle's,
    `mesh`; the sampling loop is the same for all.
    """

    def __init__(self, pipeline: Pipeline, recipe: Recipe, schedulers: Callable[[str], Any]) -> None:
        self.pipeline = pipeline
        self.recipe = recipe
        self.schedulers = schedulers
        self.samplers = {
            stage: Sampler(self._network_of(stage), schedulers(stage), recipe.sampler)
            for stage in pipeline.of_kind("sample")
        }

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

    def sample(self, stage: str, arrays: Arrays, noise: np.ndarray, on_step: OnStep | None = None) -> np.ndarray:
        """The latents of a stage, from its conditions by name and unit normal noise."""
        return self.samplers[stage].sample(self.conditions(stage, arrays), noise, on_step)

    def conditions(self, stage: str, arrays: Arrays) -> list[np.ndarray]:
        """What a stage of kind sample takes, in its order."""
        return [arrays[spec.name] for spec in self.pipeline.stages[stage].takes]

    def mesh(self, run: Run, grid: int) -> Mesh:
        """One object's mesh as the original makes it."""
        return mesh_of(run, grid, exact=True)

    @abstractmethod
    def load(self) -> None:
        """Load what is otherwise loaded when it is first used."""

    def with_network(self, wrap: Callable[[torch.nn.Module], torch.nn.Module]) -> Original:
        """The same original with `wrap(network)` in the place of the networks that `predict` calls."""
        raise TypeError(f"{type(self).__name__} does not say which its network is")

    def _network_of(self, stage: str) -> Callable[..., torch.Tensor]:
        return lambda *given: self.predict(stage, *given)
