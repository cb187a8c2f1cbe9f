"""How much noise quantized programs leave on what the sampler sees, on recorded inputs.

Every error of text encoder and denoiser is told in the guided output, because guidance amplifies the difference of its
two branches; the text encoder's is carried there through the denoiser. The projector comes after the sampler, so that
its errors are those of its own outputs. Noise-to-signal ratios (NSR, |error|² / |reference|²) of different layers add
up to first order; decibels do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from exporter.runtime.sessions.session import Session

Currency = Literal["guided", "projector"]
Arrays = dict[str, np.ndarray]
Parts = dict[str, float]

CURRENCIES: dict[str, Currency] = {"text_encoder": "guided", "denoiser": "guided", "projector": "projector"}
THIRDS = ("early", "middle", "late")
_GUIDED_OUTPUT = "prediction"


@dataclass(frozen=True)
class _Evaluation:
    """One recorded evaluation of the denoiser: its inputs, whose prompts they are, the third it lies in."""

    inputs: Arrays
    prompts: tuple[str, ...]
    third: str


class NoiseMeter:
    """Holds programs against the float programs of the same stages.

    `shards`: recorded inputs by stage, as `calibration.record` writes them. `originals`: the float programs.
    `evaluations`: rows of the sampler's table. The noise is measured on the first `prompts` of the recorded prompts.
    """

    def __init__(
        self,
        shards: Mapping[str, Sequence[Path]],
        originals: Mapping[str, Path],
        evaluations: int,
        prompts: int,
        open_program: Callable[[Path], Session],
    ) -> None:
        self._shards, self._originals = shards, originals
        self._steps = evaluations
        self._count = prompts
        self._open = open_program
        self._opened: dict[Path, Session] = {}

    @property
    def prompts(self) -> list[str]:
        """The prompts that noise is measured on."""
        return [prompt for prompts in self._texts for prompt in prompts]

    def guided(self, programs: Mapping[str, Path]) -> Parts:
        """NSR of the guided output by thirds of the noise levels, the highest first."""
        noise = dict.fromkeys((evaluation.third for evaluation in self._evaluations), 0.0)
        signal = dict(noise)
        if self._same(programs, "text_encoder") and self._same(programs, "denoiser"):
            return noise
        embeddings = self._embeddings(programs)
        denoiser = self._session(programs["denoiser"])
        for evaluation, reference in zip(self._evaluations, self._guided_outputs, strict=True):
            found = denoiser.run(evaluation.inputs | embeddings[evaluation.prompts])[_GUIDED_OUTPUT]
            noise[evaluation.third] += _energy(found - reference)
            signal[evaluation.third] += _energy(reference)
        return {third: _ratio(noise[third], signal[third]) for third in noise}

    def projector(self, programs: Mapping[str, Path]) -> Parts:
        """NSR of each output of the projector; nothing where the model has none."""
        if "projector" not in self._originals:
            return {}
        noise = dict.fromkeys(self._projections[0], 0.0)
        signal = dict(noise)
        if self._same(programs, "projector"):
            return noise
        projector = self._session(programs["projector"])
        for inputs, reference in zip(self._latents, self._projections, strict=True):
            for name, found in projector.run(inputs).items():
                noise[name] += _energy(found - reference[name])
                signal[name] += _energy(reference[name])
        return {name: _ratio(noise[name], signal[name]) for name in noise}

    def _measured(self, stage: str) -> Iterator[tuple[tuple[str, ...], Arrays]]:
        """The recorded inputs of the measured prompts, shard by shard: the batch is the first dimension of each."""
        for shard in self._shards[stage]:
            prompts = recorded_prompts(shard)
            if kept := self._kept.get(prompts, 0):
                inputs = {name: values[:kept] if values.ndim else values for name, values in _inputs(shard).items()}
                yield prompts[:kept], inputs

    @cached_property
    def _kept(self) -> dict[tuple[str, ...], int]:
        """How many of a shard's prompts are measured."""
        found: dict[tuple[str, ...], int] = {}
        for prompts in map(recorded_prompts, self._shards["text_encoder"]):
            found[prompts] = min(len(prompts), self._count - sum(found.values()))
        return found

    def _embeddings(self, programs: Mapping[str, Path]) -> dict[tuple[str, ...], Arrays]:
        """What takes the place of the recorded embeddings: nothing where the text encoder is as it was."""
        if self._same(programs, "text_encoder"):
            return {prompts: {} for prompts in self._texts}
        encoder = self._session(programs["text_encoder"])
        return {prompts: encoder.run(inputs) for prompts, inputs in self._texts.items()}

    def _same(self, programs: Mapping[str, Path], stage: str) -> bool:
        return programs[stage] == self._originals[stage]

    def _session(self, program: Path) -> Session:
        """The float programs stay open: they run beside every program that is tried."""
        if program not in self._originals.values():
            return self._open(program)
        if program not in self._opened:
            self._opened[program] = self._open(program)
        return self._opened[program]

    @cached_property
    def _texts(self) -> dict[tuple[str, ...], Arrays]:
        """The text encoder's recorded inputs by the prompts that they are."""
        return dict(self._measured("text_encoder"))

    @cached_property
    def _evaluations(self) -> list[_Evaluation]:
        found = []
        for prompts, inputs in self._measured("denoiser"):
            found.append(_Evaluation(inputs, prompts, THIRDS[3 * int(inputs["step"]) // self._steps]))
        return sorted(found, key=lambda evaluation: int(evaluation.inputs["step"]))

    @cached_property
    def _latents(self) -> list[Arrays]:
        return [inputs for _, inputs in self._measured("projector")]

    @cached_property
    def _guided_outputs(self) -> list[np.ndarray]:
        denoiser = self._session(self._originals["denoiser"])
        return [denoiser.run(evaluation.inputs)[_GUIDED_OUTPUT] for evaluation in self._evaluations]

    @cached_property
    def _projections(self) -> list[Arrays]:
        projector = self._session(self._originals["projector"])
        return [projector.run(inputs) for inputs in self._latents]


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
