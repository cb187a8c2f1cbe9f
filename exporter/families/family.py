"""What a model family is: weights cut into stages, and the PyTorch reference they are held against.

A family is one file with a subclass of `LoadedModel` and one of `Reference`, registered by name. Nothing else in the
toolchain knows any family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from exporter.pipeline.stage import Stage
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.generator import mesh_of
from exporter.runtime.guidance import guided_at
from exporter.sampling.schedulers import (
    clip_range,
    noise_levels,
    schedule_of,
    start,
    timesteps_for_model,
)

StageMaker = Callable[[], Stage]
OnStep = Callable[[int, np.ndarray, np.ndarray], None]


class SamplerSettings(Protocol):
    """The sampler section of a recipe."""

    @property
    def scheduler(self) -> str: ...
    @property
    def steps(self) -> int: ...
    @property
    def spacing(self) -> str: ...
    @property
    def highest_noise(self) -> float | None: ...
    @property
    def guidance_scale(self) -> float: ...
    @property
    def guidance_interval(self) -> Sequence[float] | None: ...
    @property
    def clamp(self) -> str: ...
    @property
    def unroll(self) -> str: ...


class RenderSettings(Protocol):
    """The part of a recipe's render section that shapes the renderer's program."""

    @property
    def coarse_samples(self) -> int: ...
    @property
    def fine_samples(self) -> int: ...


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer as data: the `tokenizers` JSON, the number of tokens a prompt is padded or cut to, the padding id."""

    json: bytes
    context_length: int
    pad_id: int


class Denoiser(torch.nn.Module, ABC):
    """The network inside the sampler, with the timestep already embedded.

    Called as `denoiser(sample [B,N,D], time [B,*], embedding [B,E])` with the scaled sample and rows of `time_table`;
    gives what `head` makes the raw prediction [B,N,D] of.
    """

    @abstractmethod
    def time_table(self, timesteps: torch.Tensor) -> torch.Tensor:
        """One row of time embedding for each of the `timesteps` [T]."""

    @abstractmethod
    def forward(self, sample: torch.Tensor, time: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor: ...

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        """The last layer, an affine one, so that guidance may be mixed before it; none by default."""
        return hidden

    def unconditional(self, embedding: torch.Tensor) -> torch.Tensor:
        """The embedding that stands for no prompt in classifier-free guidance."""
        return torch.zeros_like(embedding)


class Reference(ABC):
    """The original model in PyTorch, numpy in and out: its own modules and the scheduler's own `step`.

    A subclass gives `encode`, `predict`, `field` and, where the family has them, `project` and `render`; the sampling
    loop is the same for all. Satisfies the Generator protocol of the runtime.
    """

    def __init__(self, scheduler: Any, latent_shape: tuple[int, int], settings: SamplerSettings) -> None:
        self.latent_shape = latent_shape
        self.settings = settings
        self.scheduler = schedule_of(settings, scheduler)
        self.clip = clip_range(scheduler)

    @abstractmethod
    def encode(self, prompts: list[str]) -> np.ndarray:
        """Prompts to embeddings [B, E]."""

    @abstractmethod
    def predict(self, sample: torch.Tensor, timestep: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """The network's raw prediction [B,N,D] for a scaled sample at one timestep."""

    @abstractmethod
    def field(self, points: np.ndarray, context: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Points [B,P,3] to signed_distance [B,P,1] (positive inside), density [B,P,1] and color [B,P,3]."""

    def project(self, latents: np.ndarray) -> dict[str, np.ndarray]:
        """Latents [B,N,D] to the further tensors that field and renderer take; none by default."""
        return {}

    def render(self, rays: np.ndarray, context: dict[str, np.ndarray]) -> np.ndarray:
        """Rays [B,R,2,3] (origin, direction) to colours [B,R,3], for families that have a renderer."""
        raise TypeError(f"{type(self).__name__} has no renderer")

    def mesh(self, context: dict[str, np.ndarray], grid: int) -> Mesh:
        """One object's mesh as the original makes it, of its latents [1,N,D] and what was projected from them."""
        return mesh_of(self, context, grid, exact=True)

    def load(self) -> None:
        """Load what is otherwise loaded when it is first used: what encodes prompts, and more where a family says."""
        self.encode([""])

    def with_network(self, wrap: Callable[[torch.nn.Module], torch.nn.Module]) -> Reference:
        """The same reference with `wrap(network)` in the place of the network that `predict` calls."""
        raise TypeError(f"{type(self).__name__} does not say which its network is")

    @torch.inference_mode()
    def guided(self, sample: torch.Tensor, timestep: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """The guided prediction [B,N,D] for a scaled sample, clamped before mixing where the order is OpenAI's."""
        scale = self.settings.guidance_scale
        if scale <= 1.0:
            return self.unguided(sample, timestep, embedding)
        both = torch.cat([torch.zeros_like(embedding), embedding])
        unconditional, conditional = self.unguided(torch.cat([sample, sample]), timestep, both).chunk(2)
        return unconditional + scale * (conditional - unconditional)

    @torch.inference_mode()
    def unguided(self, sample: torch.Tensor, timestep: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """The prediction [B,N,D] for the prompt alone, clamped where the order is OpenAI's."""
        prediction = self.predict(sample, timestep, embedding)
        return prediction.clamp(-self.clip, self.clip) if self.settings.clamp == "openai" else prediction

    def guided_evaluations(self) -> NDArray[np.bool_]:
        """Which evaluations [T] of the sampler are guided."""
        levels = noise_levels(self.scheduler, start(self.scheduler, self.settings.steps))
        return guided_at(levels, self.settings.guidance_scale, self.settings.guidance_interval)

    @torch.inference_mode()
    def sample(
        self, embedding: np.ndarray, noise: np.ndarray, on_step: OnStep | None = None, evaluations: int | None = None
    ) -> np.ndarray:
        """Embeddings [B,E] and unit normal noise [B,N,D] to latents [B,N,D].

        `on_step(i, sample, prediction)` sees the sample that went into evaluation i and the prediction made from it,
        before the scheduler's clamp. The scheduler's own arithmetic runs in float64, so that its rounding is not
        counted against a program. With `evaluations` the loop stops early.
        """
        timesteps = start(self.scheduler, self.settings.steps)
        model_timesteps = timesteps_for_model(timesteps, self.settings.clamp)
        guided = self.guided_evaluations()
        condition = torch.from_numpy(embedding)
        sample = torch.from_numpy(noise) * float(self.scheduler.init_noise_sigma)
        for i, (timestep, model_timestep) in enumerate(zip(timesteps, model_timesteps, strict=True)):
            if i == evaluations:
                break
            scaled = self.scheduler.scale_model_input(sample.double(), timestep).float()
            predict = self.guided if guided[i] else self.unguided
            prediction = predict(scaled, model_timestep, condition)
            if on_step:
                on_step(i, sample.numpy(), prediction.numpy())
            sample = self.scheduler.step(prediction.double(), timestep, sample.double()).prev_sample.float()
        return sample.numpy()


class LoadedModel(ABC):
    """Weights at hand, to be cut into stages. Heavy parts load when they are first needed, one at a time."""

    weights_source: str
    weights_digest: str
    trained: bool
    tokenizer: Tokenizer
    latent_shape: tuple[int, int]
    embedding_width: int

    def unfilled(self) -> LoadedModel:
        """The same model for its modules' names alone; a family that can leaves the weights out of them."""
        return self

    @abstractmethod
    def scheduler(self) -> Any:
        """A fresh diffusers scheduler of the model's own configuration."""

    @abstractmethod
    def stages(self, render: RenderSettings) -> dict[str, StageMaker]:
        """Makers of all stages but the sampler's, by name, in the order in which they run.

        `text_encoder` and `field` are required; `projector` and `renderer` are optional. A maker loads what its stage
        needs; dropping the stage frees it.
        """

    @abstractmethod
    def denoiser(self) -> Denoiser:
        """The network that the sampler's programs are made around."""

    @abstractmethod
    def reference(self, sampler: SamplerSettings, render: RenderSettings) -> Reference:
        """The original model with these settings; loads its parts when they are first used."""
