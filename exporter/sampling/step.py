"""One evaluation of the sampler as a pure module: guidance, the network and the scheduler's row of coefficients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from exporter.pipeline.stage import Stage, TensorSpec
from exporter.runtime.guidance import guided_at
from exporter.sampling.table import CoefficientTable

# From one object's rows to those of its branches of guidance, or the way back.
Branches = Callable[[torch.Tensor], torch.Tensor]
ToX0 = Callable[..., torch.Tensor]


class SamplerStep(nn.Module):
    """x_i, x_{i-1}, m_{i-1}, the embedding and i to x_{i+1} and the guided prediction m_i of x0.

    What the network predicts becomes x0 before it is clamped and guided. The network's time embeddings of all known
    timesteps, the input scaling and the coefficients are tables that `step` gathers from; terms that the scheduler
    never uses are left out. Where guidance holds at some noise levels only, `step` decides too how many rows the
    network gets: no weight is stored twice, and hosts call all steps alike.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        table: CoefficientTable,
        guidance_scale: float,
        clamp: float | None,
        interval: Sequence[float] | None = None,
        latent_rank: int = 2,
    ) -> None:
        """`denoiser`: a family's `Denoiser`. `clamp`: magnitude that x0 is clamped to before guidance.

        `interval`: the noise levels that guidance holds at, all of them for none. `latent_rank`: how many dimensions
        one object's latents have.
        """
        super().__init__()
        guided = guided_at(table.noise_levels, guidance_scale, interval)
        self.always_guided, self.never_guided = bool(guided.all()), not guided.any()
        if not (self.always_guided or self.never_guided):
            self.branches = nn.Buffer(1 + torch.from_numpy(guided).long())
        self.denoiser = denoiser
        self.guidance_scale = guidance_scale
        self.clamp = clamp
        self.clip = table.clip
        self.predicts_x0 = bool((table.x0 == [0.0, 1.0]).all())
        if not self.predicts_x0:
            self.x0_factors = nn.Buffer(_of_rank(table.x0, latent_rank))
        self.used = [bool(abs(column).max() > 1e-12) for column in table.coefficients.T]
        time_table: Callable[[torch.Tensor], torch.Tensor] = denoiser.time_table  # type: ignore[assignment]
        self.time_table = nn.Buffer(time_table(torch.from_numpy(table.timesteps).float()).clone())
        self.input_scale = nn.Buffer(_of_rank(table.input_scale, latent_rank))
        self.coefficients = nn.Buffer(_of_rank(table.coefficients, latent_rank))

    def forward(
        self,
        sample: torch.Tensor,
        previous_sample: torch.Tensor,
        previous_prediction: torch.Tensor,
        embedding: torch.Tensor,
        step: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        row = step.reshape(1)
        scaled = sample * torch.index_select(self.input_scale, 0, row)
        time = torch.index_select(self.time_table, 0, row)

        def x0(raw: torch.Tensor, in_branches: Branches = lambda tensor: tensor) -> torch.Tensor:
            """From the network's prediction of it, of the noise or of the velocity."""
            if self.predicts_x0:
                return raw
            of_sample, of_prediction = torch.index_select(self.x0_factors, 0, row).unbind(1)
            return of_sample * in_branches(sample) + of_prediction * raw

        if self.never_guided:
            prediction = self.unguided(scaled, time, embedding, x0)
        elif self.always_guided:
            prediction = self.guided(scaled, time, embedding, x0)
        else:
            branches = torch.index_select(self.branches, 0, row)
            prediction = self.guided_at_times(scaled, time, embedding, x0, branches)
        terms = (sample, prediction, self.clipped(prediction), previous_sample, self.clipped(previous_prediction))
        factors = torch.index_select(self.coefficients, 0, row).unbind(1)
        used = [factor * term for factor, term, use in zip(factors, terms, self.used, strict=True) if use]
        return sum(used[1:], start=used[0]), prediction

    def unguided(self, scaled: torch.Tensor, time: torch.Tensor, embedding: torch.Tensor, x0: ToX0) -> torch.Tensor:
        return self.clamped(x0(self.head(self.denoiser(scaled, time.expand(scaled.shape[0], -1), embedding))))

    def guided(self, scaled: torch.Tensor, time: torch.Tensor, embedding: torch.Tensor, x0: ToX0) -> torch.Tensor:
        """Classifier-free guidance (Ho and Salimans, arXiv 2207.12598) with both halves in one batch.

        Where nothing is clamped between, the halves are mixed before the denoiser's head: it has half the work then,
        and the error of its input, should that be quantized, is not multiplied by the guidance scale.
        """

        def in_branches(tensor: torch.Tensor) -> torch.Tensor:
            return torch.cat([tensor, tensor])

        both = torch.cat([self.denoiser.unconditional(embedding), embedding])  # type: ignore[operator]
        hidden = self.denoiser(in_branches(scaled), time.expand(both.shape[0], -1), both)
        batch = scaled.shape[0]
        return self.finished(hidden, x0, in_branches, lambda halves: self.mixed(halves[:batch], halves[batch:]))

    def guided_at_times(
        self, scaled: torch.Tensor, time: torch.Tensor, embedding: torch.Tensor, x0: ToX0, branches: torch.Tensor
    ) -> torch.Tensor:
        """Guidance where `branches` [1] is 2; the prompt's branch alone, half the batch, where it is 1.

        The first and the last rows of the batch are what is mixed: the same rows without guidance, which leaves them
        as they are.
        """
        count = int(branches.item())
        torch._check(count >= 1)
        batch = torch.arange(scaled.shape[0])
        rows = batch.repeat(count)
        conditional = rows.shape[0] - batch.shape[0]

        def in_branches(tensor: torch.Tensor) -> torch.Tensor:
            return torch.index_select(tensor, 0, rows)

        def mixed(halves: torch.Tensor) -> torch.Tensor:
            first, last = (torch.index_select(halves, 0, batch + offset) for offset in (0, conditional))
            return self.mixed(first, last)

        both = in_branches(embedding)
        each_row = (slice(None), *[None] * (embedding.dim() - 1))
        has_prompt = torch.arange(rows.shape[0])[each_row] >= conditional
        both = torch.where(has_prompt, both, self.denoiser.unconditional(both))  # type: ignore[operator]
        hidden = self.denoiser(in_branches(scaled), time.expand(rows.shape[0], -1), both)
        return self.finished(hidden, x0, in_branches, mixed)

    def finished(self, hidden: torch.Tensor, x0: ToX0, in_branches: Branches, mixed: Branches) -> torch.Tensor:
        """x0 of the mixed branches, or of each of them where it is clamped before they are mixed."""
        if self.clamp is None:
            return x0(self.head(mixed(hidden)))
        return mixed(self.clamped(x0(self.head(hidden), in_branches)))

    def mixed(self, unconditional: torch.Tensor, conditional: torch.Tensor) -> torch.Tensor:
        return unconditional + self.guidance_scale * (conditional - unconditional)

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        prediction: torch.Tensor = self.denoiser.head(hidden)  # type: ignore[operator]
        return prediction

    def clamped(self, prediction: torch.Tensor) -> torch.Tensor:
        return prediction if self.clamp is None else prediction.clamp(-self.clamp, self.clamp)

    def clipped(self, prediction: torch.Tensor) -> torch.Tensor:
        return prediction if self.clip is None else prediction.clamp(-self.clip, self.clip)


def _of_rank(table: np.ndarray, rank: int) -> torch.Tensor:
    """A table whose rows multiply latents of `rank` dimensions and a batch."""
    return torch.from_numpy(table).float().reshape(*table.shape, *[1] * rank)


def step_stage(module: SamplerStep, latent_shape: Sequence[int], *condition_shape: int) -> Stage:
    """The `denoiser` program of a bundle; both shapes are of one object."""
    latents: tuple[int | str, ...] = ("batch", *latent_shape)
    names = ("sample", "previous_sample", "previous_prediction")
    inputs = (
        *(TensorSpec(name, "float32", latents) for name in names),
        TensorSpec("embedding", "float32", ("batch", *condition_shape)),
        TensorSpec("step", "int64", ()),
    )
    outputs = (TensorSpec("next_sample", "float32", latents), TensorSpec("prediction", "float32", latents))
    return Stage("denoiser", module, inputs, outputs)
