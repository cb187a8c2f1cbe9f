"""A random network small enough for every solver, in the two forms that are compared: a denoiser, and a function."""

from __future__ import annotations

import torch
from torch import nn

from exporter.sampling.denoiser import Denoiser
from exporter.sampling.original_sampler import OriginalSampler
from exporter.sampling.schedulers import clip_range, schedule_of
from exporter.sampling.step import SamplerStep
from exporter.sampling.table import probe

WIDTH = 16


class SmallDenoiser(Denoiser):
    """Channels are the last dimension of latents and of the condition; a condition's tokens are averaged."""

    def __init__(self, channels=6, condition=5, gain=3.0):
        super().__init__()
        torch.manual_seed(0)
        self.into, self.of_condition = nn.Linear(channels, WIDTH), nn.Linear(condition, WIDTH)
        self.out = nn.Linear(WIDTH, channels)
        with torch.no_grad():
            self.out.weight.mul_(gain)

    def time_table(self, timesteps):
        return torch.sin(timesteps[:, None] / 500 + torch.arange(WIDTH))

    def forward(self, sample, time, embedding):
        context = self.of_condition(embedding)
        context = time + (context.mean(1) if embedding.dim() == 3 else context)
        return torch.tanh(self.into(sample) + context.reshape(-1, *[1] * (sample.dim() - 2), WIDTH))

    def head(self, hidden):
        return self.out(hidden)

    def predict(self, sample, timestep, embedding):
        """The same network as diffusers' loops call it."""
        time = self.time_table(torch.as_tensor(timestep).reshape(1).float()).expand(len(sample), -1)
        return self.head(self(sample, time, embedding))


def both_sides(network, own, settings, latent_rank=2):
    """The step with its table, and the original's loop, of a network with its scheduler."""
    scheduler = schedule_of(settings, own)
    table = probe(scheduler, settings.steps, settings.clamp)
    clamp = clip_range(own) if settings.clamp == "openai" else None
    step = SamplerStep(network, table, settings.guidance_scale, clamp, settings.guidance_interval, latent_rank)
    return step.eval(), table, OriginalSampler(network.predict, scheduler, clip_range(own), settings)
