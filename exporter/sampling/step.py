"""One evaluation of the sampler as a pure module: guidance, the network and the scheduler's row of coefficients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn

from exporter.pipeline.pure_module import PureModule
from exporter.pipeline.sampling import (
    NEXT_SAMPLE,
    NOISE,
    PREDICTION,
    PREVIOUS_PREDICTION,
    PREVIOUS_SAMPLE,
    SAMPLE,
    STEP,
    ConditionSchedule,
)
from exporter.pipeline.tensor import TensorSpec
from exporter.runtime.guidance import guided_at
from exporter.sampling.denoiser import Denoiser
from exporter.sampling.table import CoefficientTable

Conditions = Sequence[torch.Tensor]

# From one object's rows to those of its branches of guidance, or the way back.
Branches = Callable[[torch.Tensor], torch.Tensor]
ToX0 = Callable[..., torch.Tensor]


class SamplerStep(nn.Module):
    """x_i, x_{i-1}, m_{i-1}, the conditions, unit noise for a sampler with churn, and i to x_{i+1} and the guided
    prediction m_i of x0.

    What the network predicts becomes x0 before it is clamped and guided. The network's time embeddings of all known
    timesteps, the input scaling and the coefficients are tables that `step` gathers from; terms that the scheduler
    never uses are left out. Where guidance holds at some noise levels only,
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
        schedules: Mapping[str, ConditionSchedule] | None = None,
    ) -> None:
        """`clamp`: magnitude that predictions are clamped to before guidance.

        `interval`: the noise levels that guidance holds at, all of them for none. `rank`: of one object's latents.
        `schedules`: other sets of conditions, which follow the prompt's own in the order of their names here.
        """
        super().__init__()
        self.replaced = [schedule.replaces for schedule in (schedules or {}).values()]
        for i, name in enumerate(schedules or {}):
            self.register_buffer(f"weights_{i}", torch.from_numpy(table.conditions[name]).float())
        guided = guided_at(table.noise_levels, guidance_scale, interval)
        self.always_guided, self.never_guided = bool(guided.all()), not guided.any()
        if not (self.always_guided or self.never_guided):
            self.branches = nn.Buffer(1 + torch.from_numpy(guided).long())
        self.denoiser = denoiser
        self.guidance_scale = guidance_scale
        self.clamp = clamp
        self.clip = table.clip
        ones = (1,) * rank
        self.predicts_x0 = bool((table.x0 == [0.0, 1.0]).all())
        if not self.predicts_x0:
            self.x0_factors = nn.Buffer(torch.from_numpy(table.x0).float().reshape(-1, 2, *ones))
        self.has_churn = table.has_churn
        # Noise that is given is used, even where the only step that is churned is the first, which begins with it.
        self.used = [
            bool(abs(column).max() > 1e-12) or term == NOISE
            for term, column in zip(table.terms, table.coefficients.T, strict=True)
        ]
        self.time_table = nn.Buffer(denoiser.time_table(torch.from_numpy(table.timesteps).float()).clone())
        self.input_scale = nn.Buffer(torch.from_numpy(table.input_scale).float().reshape(-1, *ones))
        self.coefficients = nn.Buffer(torch.from_numpy(table.coefficients).float().reshape(-1, len(table.terms), *ones))

    def forward(
        self,
        sample: torch.Tensor,
        previous_sample: torch.Tensor,
        previous_prediction: torch.Tensor,
        first: torch.Tensor,
        *rest: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        *conditions, step = first, *rest
        noise = [conditions.pop()] if self.has_churn else []
        row = step.reshape(1)
        given, none = self.scheduled(conditions, row)
        scaled = sample * torch.index_select(self.input_scale, 0, row)
        time = torch.index_select(self.time_table, 0, row)

        def x0(raw: torch.Tensor, in_branches: Branches = lambda tensor: tensor) -> torch.Tensor:
            """From the network's prediction of it, of the noise or of the velocity."""
            if self.predicts_x0:
                return raw
            of_sample, of_prediction = torch.index_select(self.x0_factors, 0, row).unbind(1)
            return of_sample * in_branches(sample) + of_prediction * raw

        if self.never_guided:
            prediction = self.unguided(scaled, time, given, x0)
        elif self.always_guided:
            prediction = self.guided(scaled, time, given, x0, none)
        else:
            branches = torch.index_select(self.branches, 0, row)
            prediction = self.guided_at_times(scaled, time, given, x0, branches, none)
        terms = (sample, prediction, self.clipped(prediction), previous_sample, self.clipped(previous_prediction))
        factors = torch.index_select(self.coefficients, 0, row).unbind(1)
        used = [factor * term for factor, term, use in zip(factors, (*terms, *noise), self.used, strict=True) if use]
        return sum(used[1:], start=used[0]), prediction

    def scheduled(self, conditions: Conditions, row: torch.Tensor) -> tuple[Conditions, Conditions | None]:
        """The conditions of an evaluation, and what stands for none where that is not the network's own."""
        if not self.replaced:
            return conditions, None
        size = len(conditions) // (1 + len(self.replaced))
        given: Conditions = conditions[:size]
        none: Conditions = self.denoiser.unconditional(*given)
        for i, replaced in enumerate(self.replaced, start=1):
            weight = torch.index_select(getattr(self, f"weights_{i - 1}"), 0, row)
            other = conditions[i * size : (i + 1) * size]
            if replaced == "prompt":
                given = [blended(one, two, weight) for one, two in zip(given, other, strict=True)]
            else:
                none = [blended(one, two, weight) for one, two in zip(none, other, strict=True)]
        return given, none if "none" in self.replaced else None

    def unguided(self, scaled: torch.Tensor, time: torch.Tensor, conditions: Conditions, x0: ToX0) -> torch.Tensor:
        return self.clamped(x0(self.head(self.denoiser(scaled, time.expand(scaled.shape[0], -1), *conditions))))

    def guided(
        self,
        scaled: torch.Tensor,
        time: torch.Tensor,
        conditions: Conditions,
        x0: ToX0,
        none: Conditions | None,
    ) -> torch.Tensor:
        """Classifier-free guidance (Ho and Salimans, arXiv 2207.12598) with both halves in one batch.

        Where nothing is clamped between, the halves are mixed before the denoiser's head: it has half the work then,
        and the error of its input, should that be quantized, is not multiplied by the guidance scale.
        """

        def in_branches(tensor: torch.Tensor) -> torch.Tensor:
            return torch.cat([tensor, tensor])

        none = self.denoiser.unconditional(*conditions) if none is None else none
        both = [torch.cat(halves) for halves in zip(none, conditions, strict=True)]
        doubled = in_branches(scaled)
        hidden = self.denoiser(doubled, time.expand(doubled.shape[0], -1), *both)
        batch = scaled.shape[0]
        return self.finished(hidden, x0, in_branches, lambda halves: self.mixed(halves[:batch], halves[batch:]))

    def guided_at_times(
        self,
        scaled: torch.Tensor,
        time: torch.Tensor,
        conditions: Conditions,
        x0: ToX0,
        branches: torch.Tensor,
        none: Conditions | None,
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

        given = [in_branches(condition) for condition in conditions]
        is_conditional = torch.arange(rows.shape[0]) >= conditional
        without = self.denoiser.unconditional(*given) if none is None else [in_branches(one) for one in none]
        both = [
            torch.where(is_conditional.reshape(-1, *(1,) * (one.dim() - 1)), one, other)
            for one, other in zip(given, without, strict=True)
        ]
        hidden = self.denoiser(in_branches(scaled), time.expand(rows.shape[0], -1), *both)
        return self.finished(hidden, x0, in_branches, mixed)

    def finished(self, hidden: torch.Tensor, x0: ToX0, in_branches: Branches, mixed: Branches) -> torch.Tensor:
        """x0 of the mixed branches, or of each of them where it is clamped before they are mixed."""
        if self.clamp is None:
            return x0(self.head(mixed(hidden)))
        return mixed(self.clamped(x0(self.head(hidden), in_branches)))

    def mixed(self, unconditional: torch.Tensor, conditional: torch.Tensor) -> torch.Tensor:
        return unconditional + self.guidance_scale * (conditional - unconditional)

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.denoiser.head(hidden)

    def clamped(self, prediction: torch.Tensor) -> torch.Tensor:
        return prediction if self.clamp is None else prediction.clamp(-self.clamp, self.clamp)

    def clipped(self, prediction: torch.Tensor) -> torch.Tensor:
        return prediction if self.clip is None else prediction.clamp(-self.clip, self.clip)


def blended(one: torch.Tensor, other: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The way from one tensor to another by a weight [1]."""
    return one + weight.reshape((1,) * one.dim()) * (other - one)


def step_module(name: str, module: SamplerStep, conditions: Sequence[TensorSpec], latents: TensorSpec) -> PureModule:
    """The program of one evaluation of a stage of kind sample."""
    inputs = (
        *(replace(latents, name=state) for state in (SAMPLE, PREVIOUS_SAMPLE, PREVIOUS_PREDICTION)),
        *conditions,
        *([replace(latents, name=NOISE)] if module.has_churn else []),
        TensorSpec(STEP, "int64", ()),
    )
    outputs = (replace(latents, name=NEXT_SAMPLE), replace(latents, name=PREDICTION))
    return PureModule(name, module, inputs, outputs, root="denoiser")
