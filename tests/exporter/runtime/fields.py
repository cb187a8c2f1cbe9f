"""Analytic fields: signed distance, positive inside, and colours."""

from __future__ import annotations

import numpy as np

from exporter.runtime.surface.extract import Field


def colors(points):
    return np.clip(points / 2 + 0.5, 0, 1).astype(np.float32)


def of(distance):
    """A field of these signed distances."""
    return Field(distance, colors)


def ball(radius, center=(0.0, 0.0, 0.0)):
    return of(lambda points: radius - np.linalg.norm(points - np.array(center), axis=1))


def box(half, center=(0.0, 0.0, 0.0)):
    """A box of these half sizes; its distance is exact."""

    def distance(points):
        outside = np.abs(points - np.array(center)) - np.array(half)
        return -np.linalg.norm(np.maximum(outside, 0), axis=1) - np.minimum(outside.max(axis=1), 0)

    return of(distance)


torus = of(lambda points: 0.2 - np.hypot(np.hypot(points[:, 0], points[:, 1]) - 0.6, points[:, 2]))
cube = of(lambda points: 0.5 - np.abs(points).max(axis=1))
everything = of(lambda points: np.ones(len(points)))
nothing = of(lambda points: -np.ones(len(points)))


def union(*fields):
    return of(lambda points: np.max([field.distance(points) for field in fields], axis=0))
