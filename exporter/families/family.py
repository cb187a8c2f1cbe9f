"""What a model family is: weights cut into stages, and the PyTorch reference they are held against.

A family is one file with a subclass of `LoadedModel` and one of `Reference`, registered by name. Nothing else in the
toolchain knows any family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from exporter.pipeline.stage import Stage
from exporter.recipe.recipe import SamplerSection
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.generator import mesh_of
from exporter.sampling.original_sampler import OnStep, OriginalSampler
from exporter.sampling.schedulers import clip_range, schedule_of

StageMaker = Callable[[], Stage]


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

    Called as `denoiser(sample [B,*latents], time [B,*], embedding [B,...])` with the scaled sample and rows of
    `time_table`; gives what `head` makes the raw prediction [B,*latents] of.
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

    def __init__(self, scheduler: Any, latent_shape: tuple[int, int], settings: SamplerSection) -> None:
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

    @property
    def sampler(self) -> OriginalSampler:
        """The sampling loop around `predict`."""
        return OriginalSampler(self.predict, self.scheduler, self.clip, self.settings)

    def sample(
        self, embedding: np.ndarray, noise: np.ndarray, on_step: OnStep | None = None, evaluations: int | None = None
    ) -> np.ndarray:
        """Embeddings [B,E] and unit normal noise [B,N,D] to latents [B,N,D], as `OriginalSampler.sample` has it."""
        return self.sampler.sample([embedding], noise, on_step, evaluations)


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
    def reference(self, sampler: SamplerSection, render: RenderSettings) -> Reference:
        """The original model with these settings; loads its parts when they are first used."""
