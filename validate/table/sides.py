"""What is measured of either side, a bundle or the PyTorch reference: one step of the sampler, and one whole object.

Does not import torch by itself, so that a bundle's memory is the bundle's own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import numpy as np

from exporter.runtime.bundle import Bundle
from exporter.runtime.generator import Generator, decode_mesh
from exporter.runtime.mesh import Mesh
from exporter.runtime.noise import noise
from validate.table.timing import Action

if TYPE_CHECKING:
    from exporter.families.base import Reference


def with_threads(bundle: Bundle, threads: int) -> Bundle:
    """The bundle opened again, each of its sessions with so many threads."""
    target = bundle.manifest.target
    session = {**target.get("session", {}), "threads": threads}
    return Bundle(bundle.folder, bundle.manifest.model_copy(update={"target": target | {"session": session}}))


def one_step(side: Generator, prompt: str) -> Action:
    """One evaluation of the sampler for one object, both branches of guidance included."""
    embedding = side.encode([prompt])
    sample = noise(0, (1, *side.latent_shape))
    if not isinstance(side, Bundle):
        return _one_torch_step(cast("Reference", side), sample, embedding)
    session = side.session("denoiser")
    zeros = np.zeros_like(sample)
    inputs = {"sample": sample, "embedding": embedding, "step": np.array(0, np.int64)}
    inputs |= {"previous_sample": zeros, "previous_prediction": zeros}
    return lambda: session.run(inputs)


def one_object(side: Generator, prompt: str, grid: int, exact: bool) -> Mesh:
    """The mesh of one prompt, from its words to its triangles."""
    latents = side.sample(side.encode([prompt]), noise(0, (1, *side.latent_shape)))
    return decode_mesh(side, latents, grid, exact)


def all_threads() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _one_torch_step(reference: Reference, sample: np.ndarray, embedding: np.ndarray) -> Action:
    import torch

    from exporter.sampling.schedulers import start, timesteps_for_model

    timesteps = start(reference.scheduler, reference.settings.steps)
    timestep = timesteps_for_model(timesteps, reference.settings.clamp)[0]
    arguments = torch.from_numpy(sample), timestep, torch.from_numpy(embedding)
    return lambda: reference.guided(*arguments)
