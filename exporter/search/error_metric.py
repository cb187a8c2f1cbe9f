"""How much noise quantized programs leave, on recorded inputs.

An error before or in a sampler is measured in the sampler's guided prediction, because guidance amplifies the
difference of its two branches; an encoder's is carried there through the stages between. Errors of what comes after
all samplers are those of its own outputs. Noise-to-signal ratios (NSR, |error|² / |reference|²) of different layers add
up to first order; decibels do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from exporter.pipeline.pipeline import Pipeline
from exporter.pipeline.sampling import PREDICTION, STEP
from exporter.runtime.run import Arrays
from exporter.runtime.sessions.session import Session

Parts = dict[str, float]
Prompts = tuple[str, ...]

THIRDS = ("early", "middle", "late")


@dataclass(frozen=True)
class _Evaluation:
    """One recorded evaluation of a sampler: its inputs, whose prompts they are, the third it lies in."""

    inputs: Arrays
    prompts: Prompts
    third: str


def measured_in(pipeline: Pipeline, stage: str) -> str:
    """The stage in whose output the errors of a stage are measured: the next sampler, or itself where none follows."""
    if pipeline.stages[stage].kind == "sample":
        return stage
    return next((sampler for sampler in pipeline.of_kind("sample") if stage in pipeline.before(sampler)), stage)


class NoiseMeter:
    """Compares programs with the float programs of the same stages.

    `shards`: recorded inputs by stage, as `calibration.record` writes them. `originals`: the float programs.
    `evaluations`: rows of a sampler's table. The noise is measured on the first `prompts` of the recorded prompts.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        shards: Mapping[str, Sequence[Path]],
        originals: Mapping[str, Path],
        evaluations: Mapping[str, int],
        prompts: int,
        open_program: Callable[[Path], Session],
    ) -> None:
        self._pipeline = pipeline
        self._shards, self._originals = shards, originals
        self._steps = evaluations
        self._count = prompts
        self._open = open_program
        self._opened: dict[Path, Session] = {}
        self._references: dict[str, list[Arrays]] = {}

    @property
    def prompts(self) -> list[str]:
        """The prompts that noise is measured on."""
        return [prompt for prompts, count in self._kept.items() for prompt in prompts[:count]]

    @property
    def measured(self) -> list[str]:
        """The stages in whose outputs errors are measured, in order."""
        wanted = {measured_in(self._pipeline, stage) for stage in self._originals}
        return [stage for stage in self._originals if stage in wanted]

    def noise(self, stage: str, programs: Mapping[str, Path]) -> Parts:
        """NSR of a stage's outputs: of a sampler the guided prediction by thirds of the noise levels, the highest
        first, of any other each output by name."""
        if self._pipeline.stages[stage].kind == "sample":
            return self._of_sampler(stage, programs)
        return self._of_outputs(stage, programs)

    def _of_sampler(self, stage: str, programs: Mapping[str, Path]) -> Parts:
        evaluations = self._evaluations(stage)
        noise = dict.fromkeys((evaluation.third for evaluation in evaluations), 0.0)
        signal = dict(noise)
        conditions = {prompts: self._conditions(stage, prompts, programs) for prompts in self._kept}
        if programs[stage] == self._originals[stage] and not any(conditions.values()):
            return noise
        session = self._session(programs[stage])
        references = self._reference(stage, [evaluation.inputs for evaluation in evaluations])
        for evaluation, reference in zip(evaluations, references, strict=True):
            actual = session.run(evaluation.inputs | conditions[evaluation.prompts])[PREDICTION]
            noise[evaluation.third] += _energy(actual - reference[PREDICTION])
            signal[evaluation.third] += _energy(reference[PREDICTION])
        return {third: _ratio(noise[third], signal[third]) for third in noise}

    def _of_outputs(self, stage: str, programs: Mapping[str, Path]) -> Parts:
        inputs = [arrays for _, arrays in self._measured(stage)]
        references = self._reference(stage, inputs)
        noise = dict.fromkeys(references[0], 0.0)
        signal = dict(noise)
        if programs[stage] == self._originals[stage]:
            return noise
        session = self._session(programs[stage])
        for arrays, reference in zip(inputs, references, strict=True):
            for name, actual in session.run(arrays).items():
                noise[name] += _energy(actual - reference[name])
                signal[name] += _energy(reference[name])
        return {name: _ratio(noise[name], signal[name]) for name in noise}

    def _conditions(self, sampler: str, prompts: Prompts, programs: Mapping[str, Path]) -> Arrays:
        """What takes the place of the recorded conditions: nothing where all before the sampler is as it was."""
        changed: Arrays = {}
        for stage in self._pipeline.before(sampler):
            if self._pipeline.stages[stage].kind == "sample":
                continue
            inputs = dict(self._measured(stage))[prompts[: self._kept[prompts]]]
            if programs[stage] != self._originals[stage] or changed.keys() & inputs.keys():
                changed |= self._session(programs[stage]).run(inputs | changed)
        return changed

    def _measured(self, stage: str) -> Iterator[tuple[Prompts, Arrays]]:
        """The recorded inputs of the measured prompts, shard by shard: the batch is the first dimension of each."""
        for shard in self._shards[stage]:
            prompts = recorded_prompts(shard)
            if kept := self._kept.get(prompts, 0):
                inputs = {name: values[:kept] if values.ndim else values for name, values in _inputs(shard).items()}
                yield prompts[:kept], inputs

    @cached_property
    def _kept(self) -> dict[Prompts, int]:
        """By the prompts of a batch, how many of them are measured, of batches that every stage has inputs of."""
        recorded = [dict.fromkeys(map(recorded_prompts, self._shards[stage])) for stage in self._originals]
        found: dict[Prompts, int] = {}
        for prompts in recorded[0] if recorded else ():
            count = min(len(prompts), self._count - sum(found.values()))
            if count and all(prompts in batches for batches in recorded):
                found[prompts] = count
        return found

    def _session(self, program: Path) -> Session:
        """The float programs stay open: they run beside every program that is tried."""
        if program not in self._originals.values():
            return self._open(program)
        if program not in self._opened:
            self._opened[program] = self._open(program)
        return self._opened[program]

    def _evaluations(self, stage: str) -> list[_Evaluation]:
        whole = {prompts[:count]: prompts for prompts, count in self._kept.items()}
        found = [
            _Evaluation(inputs, whole[prompts], THIRDS[3 * int(inputs[STEP]) // self._steps[stage]])
            for prompts, inputs in self._measured(stage)
        ]
        return sorted(found, key=lambda evaluation: int(evaluation.inputs[STEP]))

    def _reference(self, stage: str, inputs: Sequence[Arrays]) -> list[Arrays]:
        """What the float program makes of them."""
        if stage not in self._references:
            session = self._session(self._originals[stage])
            self._references[stage] = [session.run(arrays) for arrays in inputs]
        return self._references[stage]


def decibels(nsr: float) -> float:
    """Signal to noise in dB; infinite without noise."""
    return -10.0 * math.log10(nsr) if nsr else math.inf


def mean_nsr(parts: Mapping[str, float]) -> float:
    """The mean over parts; 0 where there is none."""
    return sum(parts.values()) / len(parts) if parts else 0.0


def recorded_prompts(shard: Path) -> tuple[str, ...]:
    """The prompts that a shard of recorded inputs belongs to."""
    with np.load(shard, allow_pickle=False) as file:
        return tuple(str(prompt) for prompt in file["prompts"])


def _inputs(shard: Path) -> Arrays:
    with np.load(shard, allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name != "prompts"}


def _energy(values: np.ndarray) -> float:
    return float(np.square(values, dtype=np.float64).sum())


def _ratio(noise: float, signal: float) -> float:
    return noise / signal if math.isfinite(noise) and signal else math.inf
