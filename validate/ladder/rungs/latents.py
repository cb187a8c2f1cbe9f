"""Rung 3: the whole way from prompt to latents, free-running. Errors add up here, and chaos makes them grow."""

from __future__ import annotations

from typing import Any

import numpy as np

from exporter.runtime.run import OnStep
from exporter.workshop.parity import compare
from validate.ladder.compare import parity_figures
from validate.ladder.context import Context
from validate.ladder.result import Figure, plain
from validate.ladder.rungs.rung import Outcome, Rung


def run(context: Context) -> Outcome:
    """Relative L2 error of each prompt's latents; beside it how the error of all together grew on the way there.

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
        limit = context.tolerance(*pipeline.before(stage), stage).latents_relative_l2
        pair = reference[latents], actual[latents]
        for index, prompt in enumerate(context.prompts):
            of_prompt = (side[index] for side in pair)
            figures += parity_figures(stage, latents, *of_prompt, relative_limit=limit, where=repr(prompt))
        if drift and drift[-1]["stage"] == stage and pair[0].shape == pair[1].shape:
            drift.append(_drifted(stage, context.trajectories[stage].evaluations, *pair))
    return Outcome(figures, details={"drift": drift})


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
