"""What is timed: a bundle, or the PyTorch reference in one of its forms, each making the same object.

Does not import torch by itself, so that a bundle's memory is the bundle's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from exporter.runtime.generator import Context

from exporter.machine.timing import Action, timed
from exporter.manifest import Manifest
from exporter.runtime.assets.pictures import field_picture
from exporter.runtime.batch import sample_prompts
from exporter.runtime.bundle import Bundle
from exporter.runtime.guidance import guided_evaluations
from exporter.runtime.inputs.noise import noise
from validate.bench.laps import Laps

TEXT, DIFFUSION, PROJECTOR, MESH, RENDER = STAGES = ("text", "diffusion", "projector", "mesh", "render")
TO_MESH = STAGES[:-1]


@dataclass(frozen=True)
class Work:
    """What every side makes: the mesh of a prompt on a grid and, with `picture` pixels, a view of its field."""

    prompt: str
    grid: int
    picture: int | None = None


@dataclass(frozen=True)
class MadeObject:
    """Seconds of each stage that the side has, the latents [1, N, D] of the object, and the seconds of one evaluation
    with both branches of guidance."""

    seconds: dict[str, float]
    latents: np.ndarray
    step: float


class Side(Protocol):
    """One side of a comparison."""

    @property
    def evaluations(self) -> int:
        """Denoiser calls for one object."""

    def open(self) -> None:
        """Everything that is needed before the first prompt."""

    def step(self, prompt: str) -> Action:
        """One evaluation of the sampler for one object, both branches of guidance included."""

    def make(self, work: Work, evaluations: int | None = None, latents: np.ndarray | None = None) -> MadeObject:
        """One object. With `evaluations` only so many are run, and the time of diffusion is told for all of them;
        `latents`, where they are given, are what is decoded then."""


class BundleSide:
    """A bundle, each of its sessions with so many threads (0: as the bundle says)."""

    def __init__(self, bundle: Bundle, threads: int = 0) -> None:
        manifest = _with_threads(bundle.manifest, threads)
        self.bundle = WatchedBundle(bundle.folder, manifest, bundle.stand_in, bundle.memory_limit_mb)

    @property
    def evaluations(self) -> int:
        return self.bundle.manifest.sampler.evaluations

    def open(self) -> None:
        for stage in self.bundle.manifest.stages:
            self.bundle.session(stage)

    def step(self, prompt: str) -> Action:
        session = self.bundle.session("denoiser")
        sample = noise(0, (1, *self.bundle.latent_shape))
        zeros = np.zeros_like(sample)
        step = np.array(guided_evaluations(self.bundle.folder, self.bundle.manifest.sampler).argmax(), np.int64)
        inputs = {"sample": sample, "embedding": self.bundle.encode([prompt]), "step": step}
        inputs |= {"previous_sample": zeros, "previous_prediction": zeros}
        return lambda: session.run(inputs)

    def make(self, work: Work, evaluations: int | None = None, latents: np.ndarray | None = None) -> MadeObject:
        bundle, laps = self.bundle, Laps()
        bundle.laps = laps
        with laps(TEXT):
            embedding = bundle.encode([work.prompt])
        start = noise(0, (1, *bundle.latent_shape))
        with bundle.stopping_after(evaluations) as run, laps(DIFFUSION):
            found = bundle.sample(embedding, start)
        laps.seconds[DIFFUSION] *= self.evaluations / run
        found = found if latents is None else latents
        with laps(MESH):
            bundle.mesh(found, work.grid)
        if work.picture and bundle.has_renderer:
            # A picture is made in place of a mesh: its projection has been counted.
            bundle.laps = Laps()
            with laps(RENDER):
                field_picture(bundle, found, work.picture)
        return MadeObject(laps.seconds, found, self._step_seconds(work.prompt, laps.seconds[DIFFUSION]))

    def _step_seconds(self, prompt: str, diffusion: float) -> float:
        """A share of all evaluations, or of its own where only some of them have both branches."""
        guided = guided_evaluations(self.bundle.folder, self.bundle.manifest.sampler)
        if self.bundle.manifest.sampler.unroll != "step" or guided.all() or not guided.any():
            return diffusion / self.evaluations
        return timed(self.step(prompt))

    def sample(self, prompt: str, evaluations: int) -> np.ndarray:
        """Latents of a prompt after so many evaluations."""
        with self.bundle.stopping_after(evaluations):
            return self.bundle.sample(self.bundle.encode([prompt]), noise(0, (1, *self.bundle.latent_shape)))

    def make_many(self, prompts: list[str], grid: int) -> None:
        """The meshes of many prompts, sampled together as `t3export run` does it."""
        for _, latents in sample_prompts(self.bundle, prompts):
            self.bundle.mesh(latents, grid)


class WatchedBundle(Bundle):
    """A bundle whose projection is a lap of its own, that counts the points its field is asked, and that can stop its
    sampler early."""

    laps = Laps()
    points = 0

    def encode(self, prompts: list[str]) -> np.ndarray:
        """Every object starts from its prompt: none is remembered."""
        return self._encode(prompts)

    def field(self, points: np.ndarray, context: Context) -> Context:
        self.points += points.shape[0] * points.shape[1]
        return super().field(points, context)

    def project(self, latents: np.ndarray) -> Context:
        with self.laps(PROJECTOR):
            return super().project(latents)

    @contextmanager
    def stopping_after(self, evaluations: int | None) -> Iterator[int]:
        """Samples with so many evaluations, or all where it is None or the program holds the whole loop; how many."""
        whole = self.manifest
        settings = whole.sampler
        count = settings.evaluations if evaluations is None or settings.unroll != "step" else evaluations
        self.manifest = whole.model_copy(update={"sampler": settings.model_copy(update={"evaluations": count})})
        try:
            yield count
        finally:
            self.manifest = whole


def _with_threads(manifest: Manifest, threads: int) -> Manifest:
    session = manifest.target.get("session", {})
    return manifest.model_copy(
        update={"target": manifest.target | {"session": session | ({"threads": threads} if threads else {})}}
    )
