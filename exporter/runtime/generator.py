"""A text-to-3D model from outside, numpy in and numpy out: a bundle is one, the PyTorch reference another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.surface.extract import Field, OnSampled, extract_mesh
from exporter.runtime.surface.occupancy import occupied_cells, rays_that_meet

OnStep = Callable[[int, np.ndarray, np.ndarray], None]
Context = dict[str, np.ndarray]

# What a layer of 256 makes of so many points stays in a processor's second cache: 1.1 to 1.25 times as fast as 32768.
POINTS_AT_ONCE = 4096
RAYS_AT_ONCE = 4096
# A ray that shows the background and nothing else.
PAST_THE_VOLUME = np.array([[[0.0, 0.0, 4.0], [1.0, 0.0, 0.0]]], np.float32)


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
    generator: Generator, latents: np.ndarray, grid: int, exact: bool = False, on_sampled: OnSampled | None = None
) -> Mesh:
    """The mesh of one object's latents [1, N, D]; `on_sampled` is told what was asked of the field for it."""
    return mesh_of(generator, decode_context(generator, latents), grid, exact, on_sampled)


def mesh_of(
    generator: Generator, context: Context, grid: int, exact: bool = False, on_sampled: OnSampled | None = None
) -> Mesh:
    """The same of what `decode_context` gave for one object."""
    return extract_mesh(decoded_field(generator, context), grid, exact, on_sampled)


def decoded_field(generator: Generator, context: Context, chunk: int = POINTS_AT_ONCE) -> Field:
    """The field of one object, asked `chunk` points at a time."""
    return Field(
        lambda points: _asked(generator, context, points, chunk, "signed_distance")[:, 0],
        lambda points: _asked(generator, context, points, chunk, "color"),
    )


def _asked(generator: Generator, context: Context, points: np.ndarray, chunk: int, tensor: str) -> np.ndarray:
    """One tensor of the field [P, channels] at points [P, 3]."""
    starts = range(0, len(points), chunk)
    return np.concatenate([generator.field(points[None, i : i + chunk], context)[tensor][0] for i in starts])


def render_rays(
    generator: Generator, context: Context, rays: np.ndarray, chunk: int = RAYS_AT_ONCE, skip_empty: bool = False
) -> np.ndarray:
    """Colours [R, 3] in [0, 1] of one object along rays [R, 2, 3], rendered `chunk` rays at a time.

    `skip_empty`: rays that meet no density on a lattice are given the background and not rendered.
    """
    if not skip_empty:
        return _rendered(generator, context, rays, chunk)
    cells = occupied_cells(lambda points: _asked(generator, context, points, POINTS_AT_ONCE, "density")[:, 0])
    met = rays_that_meet(cells, rays)
    colors = np.repeat(_rendered(generator, context, PAST_THE_VOLUME, chunk), len(rays), axis=0)
    if met.any():
        colors[met] = _rendered(generator, context, rays[met], chunk)
    return colors


def _rendered(generator: Generator, context: Context, rays: np.ndarray, chunk: int) -> np.ndarray:
    parts = [generator.render(rays[None, start : start + chunk], context)[0] for start in range(0, len(rays), chunk)]
    return np.clip(np.concatenate(parts), 0.0, 1.0)
