"""Analytic fields: signed distance, positive inside, and colours."""

from __future__ import annotations

import numpy as np


def colors(points):
    return np.clip(points / 2 + 0.5, 0, 1).astype(np.float32)


def ball(radius, center=(0.0, 0.0, 0.0)):
    return lambda points: (radius - np.linalg.norm(points - np.array(center), axis=1), colors(points))


def torus(points):
    ring = np.hypot(points[:, 0], points[:, 1]) - 0.6
    return 0.2 - np.hypot(ring, points[:, 2]), colors(points)


def cube(points):
    return 0.5 - np.abs(points).max(axis=1), colors(points)


def everything(points):
    return np.ones(len(points)), colors(points)


def union(*fields):
    return lambda points: (np.max([field(points)[0] for field in fields], axis=0), colors(points))
