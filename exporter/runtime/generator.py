"""A text-to-3D model from outside, numpy in and numpy out: a bundle is one, the PyTorch reference another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from exporter.runtime.extract import extract_mesh
from exporter.runtime.mesh import Mesh

OnStep = Callable[[int, np.ndarray, np.ndarray], None]
Context = dict[str, np.ndarray]

POINTS_AT_ONCE = 32768
RAYS_AT_ONCE = 4096


class Generator(Protocol):
    """Text to latents to a field. All arrays are float32; B objects, N x D latents, P points, R rays."""

    @property
    def latent_shape(self) -> tuple[int, int]:
        """(N, D)."""

    def encode(self, prompts: list[str]) -> np.ndarray:
        """Prompts to embeddings [B, E], normalised and rescaled by sqrt(E)."""

    def sample(self, embedding: np.ndarray, noise: np.ndarray, on_step: OnStep | None = None) -> np.ndarray:
        """Embeddings [B, E] and unit normal noise [B, N, D] to latents [B, N, D].

        `on_step(index, sample, prediction)` is told every evaluation where steps are visible (unroll: step).
        """

    def project(self, latents: np.ndarray) -> Context:
        """Latents [B, N, D] to the projector's outputs by name; empty for a model without a projector."""

    def field(self, points: np.ndarray, context: Context) -> Context:
        """Points [B, P, 3] to signed_distance [B, P, 1] (positive inside), density [B, P, 1], color [B, P, 3] sRGB."""

    def render(self, rays: np.ndarray, context: Context) -> np.ndarray:
        """Rays [B, R, 2, 3] (origin, unit direction) to colours [B, R, 3]."""


def decode_context(generator: Generator, latents: np.ndarray) -> Context:
    """What field and renderer need: the latents [B, N, D] beside everything projected from them."""
    return {"latents": latents, **generator.project(latents)}


def decode_mesh(
    generator: Generator, latents: np.ndarray, grid: int, exact: bool = False, chunk: int = POINTS_AT_ONCE
) -> Mesh:
    """The mesh of one object's latents [1, N, D], the field asked `chunk` points at a time."""
    return mesh_of(generator, decode_context(generator, latents), grid, exact, chunk)


def mesh_of(
    generator: Generator, context: Context, grid: int, exact: bool = False, chunk: int = POINTS_AT_ONCE
) -> Mesh:
    """The same of what `decode_context` gave for one object."""

    def field(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        distances, colors = [], []
        for start in range(0, len(points), chunk):
            found = generator.field(points[None, start : start + chunk], context)
            distances.append(found["signed_distance"][0, :, 0])
            colors.append(found["color"][0])
        return np.concatenate(distances), np.concatenate(colors)

    return extract_mesh(field, grid, exact)


def render_rays(generator: Generator, context: Context, rays: np.ndarray, chunk: int = RAYS_AT_ONCE) -> np.ndarray:
    """Colours [R, 3] in [0, 1] of one object along rays [R, 2, 3], rendered `chunk` rays at a time."""
    parts = [generator.render(rays[None, start : start + chunk], context)[0] for start in range(0, len(rays), chunk)]
    return np.clip(np.concatenate(parts), 0.0, 1.0)
