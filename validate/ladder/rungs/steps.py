"""Rung 2: every timestep of the reference's own trajectories (teacher-forced), on the guided prediction.

Each evaluation starts from the reference's exact state, so an error at one timestep is seen there and nowhere else.
"""

from __future__ import annotations

import numpy as np

from exporter.pipeline.sampling import (
    NEXT_SAMPLE,
    NOISE,
    PREDICTION,
    PREVIOUS_PREDICTION,
    PREVIOUS_SAMPLE,
    SAMPLE,
    STEP,
)
from exporter.runtime.run import Arrays, Draws, OnStep, Run
from validate.ladder.compare import parity_figures
from validate.ladder.context import Context
from validate.ladder.result import Figure
from validate.ladder.rungs.rung import Outcome, Rung


def run(context: Context) -> Outcome:
    """SNR of the guided prediction at each evaluation; in full precision the updated sample must be as exact.

    A quantized prediction's error goes through the update and may grow there when steps are few, so that the updated
    sample informs but does not decide.
    """
    sampled = context.pipeline.of_kind("sample")
    visible = [stage for stage in sampled if not context.stages[stage].is_whole_sampler]
    if not visible:
        unrolled = {part.unroll for part in context.pipeline.samplings.values()}
        hidden = f"unroll: {', '.join(sorted(unrolled))} keeps the steps inside one program; build with unroll: step"
        return Outcome(skipped=hidden if sampled else "no stage of the pipeline samples")
    observers: dict[str, TeacherForcing] = {}

    def observe(stage: str, run: Run) -> OnStep | None:
        if stage in visible:
            observers[stage] = TeacherForcing(context, stage, run.taken_by(stage), run.draws(stage))
        return observers.get(stage)

    run = context.sampled(observe)
    for stage, observer in observers.items():
        observer.finish(run[context.pipeline.stages[stage].makes[0].name])
    return Outcome([figure for observer in observers.values() for figure in observer.figures])


class TeacherForcing:
    """Watches the reference sample, runs the bundle's step from each of its states and compares what comes out.

    The updated sample is compared one call later, when the reference shows the sample that it made itself.
    """

    def __init__(self, context: Context, stage: str, conditions: Arrays, draws: Draws) -> None:
        """`draws`: the noise that the reference takes too, of a sampler with churn."""
        self.context, self.stage, self.conditions = context, stage, conditions
        sampling = context.pipeline.stages[stage].sampling
        self.draws = draws if sampling and sampling.churn else None
        limit = context.tolerance(stage).trajectory_snr_db
        exact = context.stages[stage].precision == "fp32"
        self.limits = {PREDICTION: limit, NEXT_SAMPLE: limit if exact else None}
        self.figures: list[Figure] = []
        self._state: Arrays = {}
        self._updated: np.ndarray | None = None

    def __call__(self, step: int, sample: np.ndarray, prediction: np.ndarray) -> None:
        self._compare_update(step - 1, sample)
        zeros = np.zeros_like(sample)
        state = {
            SAMPLE: sample.copy(),
            PREVIOUS_SAMPLE: self._state.get(SAMPLE, zeros),
            PREVIOUS_PREDICTION: self._state.get(PREDICTION, zeros),
            STEP: np.array(step, dtype=np.int64),
        }
        if self.draws:
            state[NOISE] = self.draws(1 + step)
        actual = self.context.bundle.run_program(self.stage, self.conditions | state)
        self._add(PREDICTION, step, prediction, actual[PREDICTION])
        self._updated = actual[NEXT_SAMPLE]
        self._state = {SAMPLE: state[SAMPLE], PREDICTION: prediction.copy()}
        self.context.report(f"{self.stage} steps", step + 1, 0)

    def finish(self, latents: np.ndarray) -> None:
        """Compare the last update with the reference's latents."""
        self._compare_update(-1, latents)

    def _compare_update(self, step: int, sample: np.ndarray) -> None:
        if self._updated is not None:
            self._add(NEXT_SAMPLE, step, sample, self._updated)

    def _add(self, tensor: str, step: int, reference: np.ndarray, actual: np.ndarray) -> None:
        where = f"evaluation {step}" if step >= 0 else "last evaluation"
        limit = self.limits[tensor]
        self.figures += parity_figures(self.stage, tensor, reference, actual, snr_limit_db=limit, where=where)


RUNG = Rung("steps", "each timestep, teacher-forced, guided prediction", run)
