"""Rung 2: the denoiser at every timestep of the reference's own trajectory (teacher-forced), on the guided output.

Each evaluation starts from the reference's exact state, so an error at one timestep is seen there and nowhere else.
"""

from __future__ import annotations

import numpy as np

from validate.ladder.compare import parity_figures
from validate.ladder.context import Arrays, Context
from validate.ladder.result import Figure
from validate.ladder.rungs.rung import Outcome, Rung

STAGE = "denoiser"


def run(context: Context) -> Outcome:
    """SNR of the guided prediction at each evaluation; in full precision the updated sample must be as exact.

    A quantized prediction's error goes through the update and may grow there when steps are few, so that the updated
    sample informs but does not decide.
    """
    if STAGE not in context.stages:
        return Outcome(skipped=f"unroll: {context.unroll} keeps the steps inside one program; build with unroll: step")
    observer = TeacherForcing(context)
    latents = context.sample_reference(observer)
    observer.finish(latents)
    return Outcome(observer.figures)


class TeacherForcing:
    """Watches the reference sample, runs the bundle's denoiser from each of its states and compares what comes out.

    The updated sample is compared one call later, when the reference shows the sample that it made itself.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        limit = context.tolerance(STAGE).trajectory_snr_db
        exact = context.stages[STAGE].precision == "fp32"
        self.limits = {"prediction": limit, "next_sample": limit if exact else None}
        self.figures: list[Figure] = []
        self._state: Arrays = {}
        self._updated: np.ndarray | None = None

    def __call__(self, step: int, sample: np.ndarray, prediction: np.ndarray) -> None:
        self._compare_update(step - 1, sample)
        past = self._state
        inputs = {
            "sample": sample.copy(),
            "previous_sample": past.get("sample", np.zeros_like(sample)),
            "previous_prediction": past.get("prediction", np.zeros_like(sample)),
            "embedding": self.context.embedding,
            "step": np.array(step, dtype=np.int64),
        }
        found = self.context.run_stage(STAGE, inputs)
        self._add("prediction", step, prediction, found["prediction"])
        self._updated = found["next_sample"]
        self._state = {"sample": inputs["sample"], "prediction": prediction.copy()}
        self.context.report("denoiser steps", step + 1, 0)

    def finish(self, latents: np.ndarray) -> None:
        """Compare the last update with the reference's latents."""
        self._compare_update(-1, latents)

    def _compare_update(self, step: int, sample: np.ndarray) -> None:
        if self._updated is not None:
            self._add("next_sample", step, sample, self._updated)

    def _add(self, tensor: str, step: int, reference: np.ndarray, actual: np.ndarray) -> None:
        where = f"evaluation {step}" if step >= 0 else "last evaluation"
        limit = self.limits[tensor]
        self.figures += parity_figures(STAGE, tensor, reference, actual, snr_limit_db=limit, where=where)


RUNG = Rung(STAGE, "denoiser at each timestep, teacher-forced, guided output", run)
