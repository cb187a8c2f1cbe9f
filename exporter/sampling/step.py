"""One evaluation of the sampler as a pure module: guidance, the network and the scheduler's row of coefficients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import nn

from exporter.pipeline.pure_module import PureModule
from exporter.pipeline.sampling import NEXT_SAMPLE, PREDICTION, PREVIOUS_PREDICTION, PREVIOUS_SAMPLE, SAMPLE, STEP
from exporter.pipeline.tensor import TensorSpec
from exporter.runtime.guidance import guided_at
from exporter.sampling.denoiser import Denoiser
from exporter.sampling.table import TERMS, CoefficientTable

Conditions = Sequence[torch.Tensor]


class SamplerStep(nn.Module):
    """x_i, x_{i-1}, m_{i-1}, the conditions and i to x_{i+1} and the guided prediction m_i.

    The network's time embeddings of all known timesteps, the input scaling and the coefficients are tables that `step`
    gathers from; terms that the scheduler never uses are left out. Where guidance holds at some noise levels only,
    `step` decides too how many rows the network gets: no weight is stored twice, and hosts call all steps alike.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        table: CoefficientTable,
        guidance_scale: float,
        clamp: float | None,
        interval: Sequence[float] | None = None,
        rank: int = 2,
    ) -> None:
        """`clamp`: magnitude that predictions are clamped to before guidance.

        `interval`: the noise levels that guidance holds at, all of them for none. `rank`: of one object's latents.
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
        self.used = [bool(abs(column).max() > 1e-12) for column in table.coefficients.T]
        self.time_table = nn.Buffer(denoiser.time_table(torch.from_numpy(table.timesteps).float()).clone())
        ones = (1,) * rank
        self.input_scale = nn.Buffer(torch.from_numpy(table.input_scale).float().reshape(-1, *ones))
        self.coefficients = nn.Buffer(torch.from_numpy(table.coefficients).float().reshape(-1, len(TERMS), *ones))

    def forward(
        self,
        sample: torch.Tensor,
        previous_sample: torch.Tensor,
        previous_prediction: torch.Tensor,
        first: torch.Tensor,
        *rest: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        *conditions, step = first, *rest
        row = step.reshape(1)
        scaled = sample * torch.index_select(self.input_scale, 0, row)
        time = torch.index_select(self.time_table, 0, row)
        if self.never_guided:
            prediction = self.unguided(scaled, time, conditions)
        elif self.always_guided:
            prediction = self.guided(scaled, time, conditions)
        else:
            prediction = self.guided_at_times(scaled, time, conditions, torch.index_select(self.branches, 0, row))
        terms = (sample, prediction, self.clipped(prediction), previous_sample, self.clipped(previous_prediction))
        factors = torch.index_select(self.coefficients, 0, row).unbind(1)
        used = [factor * term for factor, term, use in zip(factors, terms, self.used, strict=True) if use]
        return sum(used[1:], start=used[0]), prediction

    def unguided(self, scaled: torch.Tensor, time: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        return self.clamped(self.head(self.denoiser(scaled, time.expand(scaled.shape[0], -1), *conditions)))

    def guided(self, scaled: torch.Tensor, time: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """Classifier-free guidance (Ho and Salimans, arXiv 2207.12598) with both halves in one batch.

        Where nothing is clamped between, the halves are mixed before the denoiser's head: it has half the work then,
        and the error of its input, should that be quantized, is not multiplied by the guidance scale.
        """
        none = self.denoiser.unconditional(*conditions)
        both = [torch.cat(halves) for halves in zip(none, conditions, strict=True)]
        doubled = torch.cat([scaled, scaled])
        hidden = self.denoiser(doubled, time.expand(doubled.shape[0], -1), *both)
        batch = scaled.shape[0]
        return self.finished(hidden, lambda halves: self.mixed(halves[:batch], halves[batch:]))

    def guided_at_times(
        self, scaled: torch.Tensor, time: torch.Tensor, conditions: Conditions, branches: torch.Tensor
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
        given = [torch.index_select(condition, 0, rows) for condition in conditions]
        is_conditional = torch.arange(rows.shape[0]) >= conditional
        both = [
            torch.where(is_conditional.reshape(-1, *(1,) * (one.dim() - 1)), one, none)
            for one, none in zip(given, self.denoiser.unconditional(*given), strict=True)
        ]
        hidden = self.denoiser(torch.index_select(scaled, 0, rows), time.expand(rows.shape[0], -1), *both)

        def mixed(halves: torch.Tensor) -> torch.Tensor:
            first, last = (torch.index_select(halves, 0, batch + offset) for offset in (0, conditional))
            return self.mixed(first, last)

        return self.finished(hidden, mixed)

    def finished(self, hidden: torch.Tensor, mixed: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """The head behind the mixing, or before it where its output is clamped first."""
        return self.head(mixed(hidden)) if self.clamp is None else mixed(self.clamped(self.head(hidden)))

    def mixed(self, unconditional: torch.Tensor, conditional: torch.Tensor) -> torch.Tensor:
        return unconditional + self.guidance_scale * (conditional - unconditional)

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.denoiser.head(hidden)

    def clamped(self, prediction: torch.Tensor) -> torch.Tensor:
        return prediction if self.clamp is None else prediction.clamp(-self.clamp, self.clamp)

    def clipped(self, prediction: torch.Tensor) -> torch.Tensor:
        return prediction if self.clip is None else prediction.clamp(-self.clip, self.clip)


def step_module(name: str, module: SamplerStep, conditions: Sequence[TensorSpec], latents: TensorSpec) -> PureModule:
    """The program of one evaluation of a stage of kind sample."""
    inputs = (
        *(replace(latents, name=state) for state in (SAMPLE, PREVIOUS_SAMPLE, PREVIOUS_PREDICTION)),
        *conditions,
        TensorSpec(STEP, "int64", ()),
    )
    outputs = (replace(latents, name=NEXT_SAMPLE), replace(latents, name=PREDICTION))
    return PureModule(name, module, inputs, outputs, root="denoiser")
