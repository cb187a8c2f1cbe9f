"""Rung 3: the whole way from prompt to latents, free-running. Errors add up here, and chaos makes them grow."""

from __future__ import annotations

from typing import Any

import numpy as np

from exporter.workshop.parity import compare
from validate.ladder.compare import parity_figures
from validate.ladder.context import Context
from validate.ladder.result import plain
from validate.ladder.rungs.rung import Outcome, Rung


def run(context: Context) -> Outcome:
    """Relative L2 error of each prompt's latents; beside it how the error of all together grew on the way there.

    `drift`: of the sample that goes into each evaluation that was kept, and after the last one of the latents.
    """
    reference = context.sample_reference()
    drift: list[dict[str, Any]] = []

    def watch(step: int, sample: np.ndarray, prediction: np.ndarray) -> None:
        expected = context.trajectory.samples.get(step)
        if expected is not None and expected.shape == sample.shape:
            drift.append({"evaluation": step, "relative_l2": plain(compare(expected, sample).relative_l2)})

    actual = context.bundle.sample(context.bundle.encode(context.prompts), context.noise, watch)
    limit = context.tolerance("text_encoder", "denoiser", "sampler").latents_relative_l2
    stage = "sampler" if "sampler" in context.stages else "denoiser"
    figures = [
        figure
        for index, prompt in enumerate(context.prompts)
        for figure in parity_figures(
            stage, "latents", reference[index], actual[index], relative_limit=limit, where=repr(prompt)
        )
    ]
    if drift and reference.shape == actual.shape:
        evaluations, error = context.trajectory.evaluations, plain(compare(reference, actual).relative_l2)
        drift.append({"evaluation": evaluations, "relative_l2": error})
    return Outcome(figures, details={"drift": drift})


RUNG = Rung("latents", "latents from prompts, free-running", run)
