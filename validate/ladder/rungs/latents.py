"""Rung 3: the whole way from prompt to latents, free-running. Errors add up here, and chaos makes them grow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from exporter.runtime.run import OnStep
from exporter.workshop.parity import compare
from validate.ladder.compare import parity_figures
from validate.ladder.context import Context
from validate.ladder.result import Figure, plain
from validate.ladder.rungs.rung import Outcome, Rung

NOWHERE = 1.0
"""The relative L2 of no latents at all: what is further off is no other object."""


def run(context: Context) -> Outcome:
    """Relative L2 error of each prompt's latents; beside it how the error of all together grew on the way there.

    A prompt may fork: end, step by step within its limits, at latents of another object, or of the same one turned.

    `drift`, by stage: of the sample that goes into each evaluation that was kept, and after the last of the latents.
    """
    pipeline, reference = context.pipeline, context.sampled()
    if not pipeline.latents:
        return Outcome(skipped="no stage of the pipeline samples")
    drift: list[dict[str, Any]] = []
    figures: list[Figure] = []
    actual = context.start(context.bundle)
    for stage in pipeline.of_kind("sample"):
        latents = pipeline.stages[stage].makes[0].name
        actual.on_step = _watch(context, stage, drift)
        tolerances = context.tolerance(*pipeline.before(stage), stage)
        pair = reference[latents], actual[latents]
        of_prompts = []
        for index, prompt in enumerate(context.prompts):
            of_prompt = (side[index] for side in pair)
            limit = tolerances.latents_relative_l2
            of_prompts.append(parity_figures(stage, latents, *of_prompt, relative_limit=limit, where=repr(prompt)))
        figures += with_forks(of_prompts, tolerances.latents_forks)
        if drift and drift[-1]["stage"] == stage and pair[0].shape == pair[1].shape:
            drift.append(_drifted(stage, context.trajectories[stage].evaluations, *pair))
    return Outcome(figures, details={"drift": drift})


def with_forks(of_prompts: Sequence[Sequence[Figure]], share: float) -> list[Figure]:
    """The figures of every prompt. Where `share` of the prompts, or fewer, end elsewhere, none of those decides, but
    how many they are.
    """
    figures = list(chain.from_iterable(of_prompts))
    forks = [one for one in figures if one.measure == "relative L2" and not one.passed and one.value < NOWHERE]
    if not (most := math.floor(share * len(of_prompts))):
        return figures
    counted = Figure(figures[0].stage, figures[0].tensor, "prompts that end elsewhere", len(forks), "", most, "at most")
    if counted.passed:
        figures = [
            replace(one, limit=None, where=f"{one.where}, elsewhere") if one in forks else one for one in figures
        ]
    return [*figures, counted]


def _watch(context: Context, stage: str, drift: list[dict[str, Any]]) -> OnStep:
    """Notes how far a stage's samples are from the reference's."""

    def watch(step: int, sample: np.ndarray, prediction: np.ndarray) -> None:
        expected = context.trajectories[stage].samples.get(step)
        if expected is not None and expected.shape == sample.shape:
            drift.append(_drifted(stage, step, expected, sample))

    return watch


def _drifted(stage: str, evaluation: int, expected: np.ndarray, actual: np.ndarray) -> dict[str, Any]:
    error = plain(compare(expected, actual).relative_l2)
    return {"stage": stage, "evaluation": evaluation, "relative_l2": error}


RUNG = Rung("latents", "latents from prompts, free-running", run)
