"""Goldens of an adopted bundle: what its float programs take and give on the description's prompts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from exporter.errors import BundleError
from exporter.machine.meter import Progress
from exporter.pipeline.pipeline import PipelineStage
from exporter.pipeline.sampling import NOISE, SAMPLE
from exporter.recipe.recipe import GoldensSection
from exporter.runtime.run import Programs, Run, make, requests_of
from exporter.runtime.sampler_loop import first_state, noise_of_all
from exporter.workshop.goldens import Seen, kept_evaluations, record_evaluations, record_stage, save_golden


def record_programs(
    programs: Programs, goldens: GoldensSection, pictures: Path, folder: Path, progress: Progress
) -> None:
    """Write `<stage>_<k>.npz`, each holding a stage's inputs and outputs by tensor name.

    `pictures`: where paths of pictures begin. Object k is made from the noise of the goldens' seed + k. Raises
    BundleError that names the stage whose program does not run on what those before it make.
    """
    requests = requests_of(programs.pipeline, goldens.prompts, pictures)
    run = make(programs, requests, [goldens.seed + k for k in range(len(requests))])
    for name, stage in programs.pipeline.stages.items():
        with naming(name):
            if stage.kind == "sample":
                _record_sampler(run, name, stage, folder, progress)
            else:
                record_stage(run, name, folder, goldens.seed)


@contextmanager
def naming(stage: str) -> Iterator[None]:
    """What a program brings about begins with its stage."""
    try:
        yield
    except BundleError as error:
        raise BundleError(f"stage '{stage}' does not run: {error}") from None


def _record_sampler(run: Run, name: str, stage: PipelineStage, folder: Path, progress: Progress) -> None:
    sampling, taken = stage.sampling, run.taken_by(name)
    assert sampling is not None
    if stage.is_whole_sampler:
        draws = run.draws(name)
        given = {SAMPLE: first_state(sampling, draws(0))[SAMPLE]}
        if sampling.churn:
            given[NOISE] = noise_of_all(draws, sampling.evaluations)
        save_golden(folder, name, 0, taken | given | {sampling.latents.name: run[sampling.latents.name]})
        return
    count = sampling.evaluations
    wanted = {i + beside for i in kept_evaluations(count) for beside in (-1, 0, 1)}
    seen: dict[int, Seen] = {}

    def remember(i: int, sample: np.ndarray, prediction: np.ndarray) -> None:
        if i in wanted:
            seen[i] = sample, prediction
        progress.advanced("record goldens", i + 1, count)

    run.on_step = remember
    latents, churned = run[sampling.latents.name], run.draws(name) if sampling.churn else None
    record_evaluations(folder, name, taken, seen, latents, churned)
