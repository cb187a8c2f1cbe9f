"""A scheduler as a table of coefficients, found by probing its own `step`.

Every deterministic solver is linear in predictions of x0: x_next = a·x + b·m + c·clip(m) + d·x₋ + e·m₋, where x is the
sample, m the guided prediction of x0, x₋ and m₋ those of the evaluation before (m₋ clipped where the scheduler clips).
What a network predicts instead of x0 becomes x0 by two more numbers a row; a sampler with churn has one more, of fresh
unit noise that is added.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from exporter.errors import RecipeError
from exporter.pipeline.sampling import NOISE
from exporter.recipe.sampler_section import SamplerSection
from exporter.sampling.churned_heun import ChurnedHeun
from exporter.sampling.levels import (
    initial_sigma,
    input_scales,
    levels_for_model,
    noise_levels,
    scaled_input,
    start,
    timesteps_for_model,
)
from exporter.sampling.prediction import prediction_type, taking_x0, to_x0, x0_factors
from exporter.sampling.schedulers import SCHEDULERS, clip_range, schedule_of

TERMS = ("sample", "prediction", "clipped_prediction", "previous_sample", "previous_prediction")
CHURNED_TERMS = (*TERMS, NOISE)
TOLERANCE = 1e-6
_SMALL, _LARGE = 0.5, 4.0
_SUPPORTED = f"supported are {', '.join(SCHEDULERS)}"


@dataclass(frozen=True)
class CoefficientTable:
    """One row for each evaluation of the network; float64.

    `timesteps` [T]: what the network is told. `input_scale` [T]: the sample is multiplied by it for the network.
    `noise_levels` [T]: noise to signal of the sample. `x0` [T,2]: what the sample and the network's prediction are
    multiplied by to give x0 as their sum. `coefficients` [T,5] or, with churn, [T,6]: in the order of `terms`. `clip`:
    where the scheduler clips x0, None where it does not. `conditions` [T] by name: the weights of other sets of
    conditions. The sampler starts at unit noise times `init_noise_sigma`.
    """

    timesteps: np.ndarray
    input_scale: np.ndarray
    noise_levels: np.ndarray
    x0: np.ndarray
    coefficients: np.ndarray
    clip: float | None
    init_noise_sigma: float
    conditions: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def evaluations(self) -> int:
        """How often the network runs for one object."""
        return len(self.timesteps)

    @property
    def terms(self) -> tuple[str, ...]:
        """What the columns of the coefficients are multiplied with."""
        return CHURNED_TERMS if self.has_churn else TERMS

    @property
    def has_churn(self) -> bool:
        """Whether fresh noise is added on the way."""
        return self.coefficients.shape[1] == len(CHURNED_TERMS)

    def next_sample(
        self, i: int, sample: np.ndarray, prediction: np.ndarray, previous: tuple[np.ndarray, np.ndarray]
    ) -> np.ndarray:
        """The sample after evaluation i, without fresh noise; `prediction` is of x0, `previous` both of evaluation
        i - 1."""
        previous_sample, previous_prediction = previous
        a, b, c, d, e = self.coefficients[i, : len(TERMS)]
        clipped, previous_prediction = self._clipped(prediction), self._clipped(previous_prediction)
        return a * sample + b * prediction + c * clipped + d * previous_sample + e * previous_prediction

    def to_json(self) -> str:
        """The table as JSON text, for other hosts and for people."""
        data = {
            "terms": list(self.terms),
            "coefficients": self.coefficients.tolist(),
            "timesteps": self.timesteps.tolist(),
            "input_scale": self.input_scale.tolist(),
            "noise_levels": self.noise_levels.tolist(),
            "x0": self.x0.tolist(),
            "clip": self.clip,
            "init_noise_sigma": self.init_noise_sigma,
        }
        if self.conditions:
            data["conditions"] = {name: weights.tolist() for name, weights in self.conditions.items()}
        return json.dumps(data, indent=1, sort_keys=True) + "\n"

    def _clipped(self, prediction: np.ndarray) -> np.ndarray:
        return prediction if self.clip is None else prediction.clip(-self.clip, self.clip)


def table_of(settings: SamplerSection, own: Any) -> CoefficientTable:
    """The table of a sampler section on the noise levels of the model's `own` scheduler. Raises as `probe`."""
    table = probe(schedule_of(settings, own), settings.steps, settings.clamp)
    return replace(table, conditions=condition_weights(settings, table.evaluations))


def condition_weights(settings: SamplerSection, evaluations: int) -> dict[str, np.ndarray]:
    """The weights [T] of each other set of conditions."""
    return {name: np.linspace(*one.weights, evaluations) for name, one in settings.conditions.items()}


def probe(scheduler: Any, steps: int, clamp: str = "diffusers") -> CoefficientTable:
    """The coefficient table of a diffusers scheduler at `steps` steps.

    Raises RecipeError that names the scheduler when its update is stochastic or not linear (relative error above 1e-6
    against `scheduler.step` over a whole trajectory).
    """
    if scheduler.config.get("thresholding"):
        raise RecipeError(f"sampler.scheduler: {type(scheduler).__name__} with thresholding is adaptive; {_SUPPORTED}")
    own_clip = clip_range(scheduler)
    timesteps = start(scheduler, steps)
    _require_deterministic(scheduler, timesteps)
    levels, scales, solver = noise_levels(scheduler), input_scales(scheduler), taking_x0(scheduler)
    rows = []
    for i, timestep in enumerate(timesteps):
        probed = copy.deepcopy(solver)
        _skip(solver, timestep)
        if i == 0:
            before = probed
        rows.append(_row(before, timesteps, i, own_clip))
        before = probed
    coefficients = np.array(rows)
    if isinstance(scheduler, ChurnedHeun):
        coefficients = np.column_stack([coefficients, scheduler.fresh_noise])
    clips = bool(np.abs(coefficients[:, 2]).max() > 0)
    table = CoefficientTable(
        timesteps=timesteps_for_model(scheduler, clamp).double().numpy(),
        input_scale=scales,
        noise_levels=levels,
        x0=x0_factors(prediction_type(scheduler), levels_for_model(scheduler, clamp), scales),
        coefficients=coefficients,
        clip=own_clip if clips else None,
        init_noise_sigma=initial_sigma(scheduler),
    )
    # Where the scheduler makes x0 itself, in float32, large factors multiply its rounding.
    for one, limit in ((taking_x0(scheduler), TOLERANCE), (scheduler, TOLERANCE * max(1.0, np.abs(table.x0).max()))):
        error = trajectory_error(table, one, steps)
        if not error <= limit:
            raise RecipeError(
                f"sampler.scheduler: {type(scheduler).__name__} at {steps} steps is not linear in samples and "
                f"predictions (relative error {error:.1e} of its table); {_SUPPORTED}"
            )
    return table


def trajectory_error(table: CoefficientTable, scheduler: Any, steps: int) -> float:
    """Largest relative L2 error of a step, over a free-running trajectory, against `scheduler.step` in float64.

    The scheduler gets predictions of its own kind, so that its way from them to x0 is compared too.
    """
    rng = np.random.default_rng(0)
    sample = rng.standard_normal(512).astype(np.float32).astype(np.float64) * table.init_noise_sigma
    goal = rng.standard_normal(512)
    ours, previous = sample, (np.zeros(512), np.zeros(512))
    theirs = torch.from_numpy(sample)
    factors = x0_factors(prediction_type(scheduler), table.noise_levels, table.input_scale)
    worst = 0.0
    for i, timestep in enumerate(start(scheduler, steps)):
        x0 = to_x0(factors[i], ours, _pretend(ours * table.input_scale[i], goal))
        scaled = scaled_input(scheduler, theirs, timestep).numpy()
        expected = _pretend(scaled, goal)
        theirs = scheduler.step(torch.from_numpy(expected), timestep, theirs).prev_sample.double()
        ours, previous = table.next_sample(i, ours, x0, previous), (ours, x0)
        worst = max(worst, float(np.linalg.norm(ours - theirs.numpy()) / np.linalg.norm(theirs.numpy())))
    return worst


def _pretend(scaled: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """A smooth stand-in for the network whose predictions go well beyond the clipping range."""
    return 1.5 * goal + 0.5 * np.tanh(scaled)


def _skip(scheduler: Any, timestep: torch.Tensor) -> None:
    """Take a step of zeros: the scheduler moves on, with a history of zeros."""
    zeros = torch.zeros(1, dtype=torch.float64)
    scaled_input(scheduler, zeros, timestep)
    scheduler.step(zeros, timestep, zeros)


def _row(before: Any, timesteps: torch.Tensor, i: int, clip: float) -> list[float]:
    """Coefficients of evaluation i from the responses to one impulse in each lane, now or an evaluation earlier.

    Predictions are probed below and above the clipping range, which tells raw and clipped parts from each other.
    """
    now, earlier = torch.zeros(2, 6, dtype=torch.float64), torch.zeros(2, 6, dtype=torch.float64)
    now[0, 0] = 1.0
    now[1, 1], now[1, 2] = _SMALL * clip, _LARGE * clip
    earlier[0, 3] = 1.0
    earlier[1, 4], earlier[1, 5] = _SMALL * clip, _LARGE * clip
    scheduler = copy.deepcopy(before)
    for (sample, prediction), timestep in zip(
        (earlier, now)[0 if i else 1 :], timesteps[max(i - 1, 0) : i + 1], strict=True
    ):
        scaled_input(scheduler, sample, timestep)
        response = scheduler.step(prediction, timestep, sample).prev_sample.double()
    unit = (response / torch.tensor([1.0, _SMALL * clip, _LARGE * clip] * 2, dtype=torch.float64)).tolist()
    if abs(unit[2] - unit[1]) <= 1e-12 * max(abs(unit[1]), 1.0):
        raw, clipped = unit[1], 0.0
    else:
        raw = (_LARGE * unit[2] - unit[1]) / (_LARGE - 1.0)
        clipped = unit[1] - raw
    return [unit[0], raw, clipped, unit[3], unit[4]]


def _require_deterministic(scheduler: Any, timesteps: torch.Tensor) -> None:
    """The same step twice, with another state of the random generator."""
    results = []
    generator_state = torch.get_rng_state()
    for seed in (0, 1):
        torch.manual_seed(seed)
        twin, ones = copy.deepcopy(scheduler), torch.ones(16, dtype=torch.float64)
        scaled_input(twin, ones, timesteps[0])
        results.append(twin.step(ones, timesteps[0], ones).prev_sample)
    torch.set_rng_state(generator_state)
    if not torch.equal(*results):
        raise RecipeError(
            f"sampler.scheduler: {type(scheduler).__name__} is stochastic, a table cannot hold it; {_SUPPORTED}"
        )
