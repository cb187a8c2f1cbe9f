"""What a network has to be so that a sampler can be exported around it."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch


class Denoiser(torch.nn.Module, ABC):
    """The network inside the sampler, with the timestep already embedded.

    Called as `denoiser(sample [B,*latents], time [B,*], *conditions [B,...])` with the scaled sample and rows of
    `time_table`; gives what `head` makes the raw prediction [B,*latents] of.
    """

    @abstractmethod
    def time_table(self, timesteps: torch.Tensor) -> torch.Tensor:
        """One row of time embedding for each of the `timesteps` [T]."""

    @abstractmethod
    def forward(self, sample: torch.Tensor, time: torch.Tensor, *conditions: torch.Tensor) -> torch.Tensor: ...

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        """The last layer, an affine one, so that guidance may be mixed before it; none by default."""
        return hidden

    def unconditional(self, *conditions: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The conditions that stand for none in classifier-free guidance."""
        return tuple(torch.zeros_like(condition) for condition in conditions)
