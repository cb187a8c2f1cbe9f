"""Random weights whose field has a surface, so that parity of a mesh says something."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from exporter.families.registry import load_model
from exporter.runtime.run import Run
from exporter.runtime.surface.extract import grid_points
from tests.exporter.tiny import tiny_recipe

GRID = 16


@pytest.fixture(scope="module")
def fields():
    """Distances [O, P] before their tanh, and densities [O, P], of random objects of several seeds."""
    latents = (2 * np.random.default_rng(0).random((5, 1024, 128)) - 1).astype(np.float32)
    points = grid_points(np.indices((GRID,) * 3).reshape(3, -1).T, GRID)
    found = []
    for seed in range(3):
        original = load_model("shap-e", f"random:shap-e-1m:{seed}").original(tiny_recipe())
        arrays = Run(original, {"latents": latents}).taken_by("field")
        found.append(original.run_program("field", arrays | {"points": np.tile(points, (5, 1, 1))}))
    distance, density = (
        np.concatenate([one[name][..., 0] for one in found]) for name in ("signed_distance", "density")
    )
    return np.arctanh(np.clip(distance, -1 + 1e-7, 1 - 1e-7)), density


def test_most_objects_have_a_surface(fields):
    inside = (fields[0] > 0).mean(axis=1)
    assert np.mean((inside > 0.02) & (inside < 0.98)) > 0.7


def test_the_field_is_neither_flat_nor_saturated(fields):
    deviation = fields[0].std(axis=1)
    assert 0.3 < deviation.mean() < 1.5
    assert np.mean(np.abs(fields[0]) < 3.5) > 0.9


def test_the_field_is_smooth(fields):
    along = fields[0].reshape(-1, GRID, GRID, GRID)
    steps = np.abs(np.diff(along, axis=1)).mean()
    assert steps < 0.25 * along.std()


def test_a_picture_is_not_empty(fields):
    assert np.mean(fields[1] > 0.1) > 0.1


def test_another_seed_is_another_model():
    first, second = (load_model("shap-e", f"random:shap-e-1m:{seed}") for seed in (0, 1))
    assert first.weights_digest != second.weights_digest
    assert not torch.equal(first.renderer().mlp.mlp[5].weight, second.renderer().mlp.mlp[5].weight)
