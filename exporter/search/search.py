"""The policy that saves most within a budget of noise, by mixed-integer linear programming.

Every layer gets one precision; the noise-to-signal ratios of the layers add up, each in the stage that it is measured
in, and must not exceed the budget; what is saved adds up too. That is a knapsack with choices, solved to a
ten-thousandth by HiGHS (Huangfu and Hall, 2018).
"""

from __future__ import annotations

import math
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from exporter.recipe.policy import Operator
from exporter.search.candidates import FP32
from exporter.search.error_metric import decibels
from exporter.search.losses import Loss

Objective = Literal["latency", "size"]
LayerKey = tuple[str, Operator]

GAP = 1e-4

# In units of what a layer can save on average. Where the objective leaves a choice the other saving decides it, which
# weighs less than the measured times are worth, and then the noise. A layer that differs from most of its stage is a
# line that someone has to read: it has to be worth that.
TIE_BREAK, NOISE_TIE_BREAK, EXCEPTION = 1e-2, 1e-4, 0.05


@dataclass(frozen=True)
class LayerChoice:
    """A precision for each layer: the loss that was chosen, by layer; a layer that is not in it stays fp32.

    `budget`: the bound on the NSR of each stage that noise is measured in, that it was chosen under.
    """

    budget: float
    chosen: dict[LayerKey, Loss]

    @cached_property
    def nsr(self) -> dict[str, float]:
        """The sum of the noise by the stage it is measured in, as far as it adds up."""
        totals: dict[str, float] = {}
        for loss in self.chosen.values():
            totals[loss.measured_in] = totals.get(loss.measured_in, 0.0) + loss.total
        return totals

    @property
    def snr_db(self) -> dict[str, float]:
        return {stage: decibels(nsr) for stage, nsr in self.nsr.items()}

    @property
    def bytes_saved(self) -> int:
        return sum(loss.bytes_saved for loss in self.chosen.values())

    @property
    def milliseconds_saved(self) -> float:
        return sum(loss.milliseconds_saved for loss in self.chosen.values())

    def saved(self, objective: Objective) -> float:
        """What the objective counts: milliseconds, or bytes."""
        return self.milliseconds_saved if objective == "latency" else self.bytes_saved


def search(losses: Sequence[Loss], objective: Objective, budget: float) -> LayerChoice:
    """The choice that saves most milliseconds (latency) or bytes (size) with an NSR of at most `budget` a stage.

    A layer differs from most of its stage only where that saves a twentieth of what layers can save on average. The
    same losses give the same choice; where nothing fits, all layers stay fp32.
    """
    allowed = [loss for loss in losses if loss.total <= budget]
    worth = dict(zip(map(id, allowed), _worth(allowed, objective, budget), strict=True))
    best = _undominated(allowed)
    first = _solve(best, worth, budget)
    usual = _usual(losses, first)
    for loss in allowed:
        worth[id(loss)] += EXCEPTION * ((usual[_group(loss)] == loss.candidate) - (usual[_group(loss)] == FP32))
    known = {id(loss) for loss in best}
    kept = [loss for loss in allowed if id(loss) in known or usual[_group(loss)] == loss.candidate]
    return LayerChoice(budget, {_key(loss): loss for loss in _solve(kept, worth, budget)})


def pareto_front(losses: Sequence[Loss], objective: Objective, snr_db: Sequence[float]) -> list[LayerChoice]:
    """The choices under budgets of these signal-to-noise ratios, the most noise first; no two neighbours are alike."""
    found: list[LayerChoice] = []
    for level in sorted(snr_db):
        choice = search(losses, objective, budget_of(level))
        if not found or choice.chosen != found[-1].chosen:
            found.append(choice)
    return found


def budget_of(snr_db: float) -> float:
    """The NSR of a signal-to-noise ratio in dB."""
    return math.pow(10.0, -snr_db / 10.0)


def _solve(losses: Sequence[Loss], worth: Mapping[int, float], budget: float) -> list[Loss]:
    """At most one of the losses of each layer, those that are worth most within the budget of each stage."""
    if not losses:
        return []
    layers = {key: row for row, key in enumerate(dict.fromkeys(map(_key, losses)))}
    measured = {name: len(layers) + i for i, name in enumerate(dict.fromkeys(loss.measured_in for loss in losses))}
    rows = [layers[_key(loss)] for loss in losses] + [measured[loss.measured_in] for loss in losses]
    values = [1.0] * len(losses) + [_spent(loss, budget) for loss in losses]
    matrix = coo_array((values, (rows, [*range(len(losses))] * 2))).tocsc()
    with _silent():
        solved = milp(
            [-worth[id(loss)] for loss in losses],
            integrality=np.ones(len(losses)),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(matrix, ub=np.ones(matrix.shape[0])),
            options={"mip_rel_gap": GAP},
        )
    assert solved.x is not None, solved.message
    return [loss for loss, share in zip(losses, solved.x, strict=True) if share > 0.5]


def _worth(losses: Sequence[Loss], objective: Objective, budget: float) -> list[float]:
    milliseconds = _shares(losses, [loss.milliseconds_saved for loss in losses])
    stored = _shares(losses, [loss.bytes_saved for loss in losses])
    first, second = (milliseconds, stored) if objective == "latency" else (stored, milliseconds)
    noise = [_spent(loss, budget) for loss in losses]
    return [a + TIE_BREAK * b - NOISE_TIE_BREAK * c for a, b, c in zip(first, second, noise, strict=True)]


def _shares(losses: Sequence[Loss], saved: Sequence[float]) -> list[float]:
    """What is saved, in units of the most that a layer can save, on average."""
    most: dict[LayerKey, float] = {}
    for loss, value in zip(losses, saved, strict=True):
        most[_key(loss)] = max(most.get(_key(loss), 0.0), value)
    average = sum(most.values()) / max(len(most), 1)
    return [value / (average or 1.0) for value in saved]


def _spent(loss: Loss, budget: float) -> float:
    """The share of the budget; without one nothing but what costs nothing is allowed."""
    return loss.total / budget if budget else 0.0


def _undominated(losses: Sequence[Loss]) -> list[Loss]:
    """Those to which no other of the layer is preferable in every respect."""
    by_layer: dict[LayerKey, list[Loss]] = {}
    for loss in losses:
        by_layer.setdefault(_key(loss), []).append(loss)
    return [loss for loss in losses if not any(_dominates(other, loss) for other in by_layer[_key(loss)])]


def _dominates(one: Loss, other: Loss) -> bool:
    better = (-one.total, one.bytes_saved, one.milliseconds_saved)
    worse = (-other.total, other.bytes_saved, other.milliseconds_saved)
    return better != worse and all(a >= b for a, b in zip(better, worse, strict=True))


def _usual(losses: Sequence[Loss], chosen: Sequence[Loss]) -> dict[tuple[str, Operator], str]:
    """The most frequent precision of each stage's layers of an operator."""
    candidates = {_key(loss): loss.candidate for loss in chosen}
    counts: dict[tuple[str, Operator], Counter[str]] = {}
    for key, group in {_key(loss): _group(loss) for loss in losses}.items():
        counts.setdefault(group, Counter())[candidates.get(key, FP32)] += 1
    return {group: max(count, key=lambda name: (count[name], name)) for group, count in counts.items()}


def _group(loss: Loss) -> tuple[str, Operator]:
    return loss.stage, loss.operator


@contextmanager
def _silent() -> Iterator[None]:
    """HiGHS leaves lines of its own development on standard output, past Python's."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _key(loss: Loss) -> LayerKey:
    return loss.layer, loss.operator
