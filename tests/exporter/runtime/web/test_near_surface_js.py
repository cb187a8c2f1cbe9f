"""The web client asks for the very points that Python asks for."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.runtime.surface.near_surface import coarse_stride, sample_near_surface
from exporter.runtime.surface.squash import Squash
from tests.node import run_node

SAMPLE = """
import { coarseStride, sampleNearSurface } from "./near_surface.js";
const exact = Float32Array.from(given.exact);
const field = async (at) => Float32Array.from(at, (i) => exact[i]);
const { values, asked } = await sampleNearSurface(field, given.grid, given.squash);
tell({ stride: coarseStride(given.grid), values: [...values], asked: [...asked] });
"""


@pytest.mark.parametrize("grid", [24, 33, 62])
@pytest.mark.parametrize("steep", [2.0, 8.0])
def test_values_and_points_are_pythons(grid, steep):
    points = np.stack(np.meshgrid(*3 * [np.linspace(-1, 1, grid)], indexing="ij"), axis=-1)
    big, speck = (0.4 - np.linalg.norm(points + 0.3, axis=-1), 0.04 - np.linalg.norm(points - 0.7, axis=-1))
    exact = np.tanh(steep * np.maximum(big, speck)).astype(np.float32)
    values, asked = sample_near_surface(lambda indices: exact[tuple(indices.T)], grid)
    found = run_node(SAMPLE, {"exact": exact.ravel().tolist(), "grid": grid})
    assert found["stride"] == coarse_stride(grid)
    assert np.array_equal(np.reshape(found["asked"], asked.shape), asked)
    assert np.array_equal(np.float32(found["values"]).reshape(values.shape), values)


@pytest.mark.parametrize("grid", [24, 33])
@pytest.mark.parametrize("squash", [Squash("exp", 25.0), Squash("none")])
def test_values_and_points_of_a_density_are_pythons(grid, squash):
    points = np.stack(np.meshgrid(*3 * [np.linspace(-1, 1, grid)], indexing="ij"), axis=-1)
    exact = (25 * np.exp(9 * (0.4 - np.linalg.norm(points + 0.2, axis=-1))) - 25).astype(np.float32)
    values, asked = sample_near_surface(lambda indices: exact[tuple(indices.T)], grid, squash)
    given = {"exact": exact.ravel().tolist(), "grid": grid, "squash": squash._asdict()}
    found = run_node(SAMPLE, given)
    assert np.array_equal(np.reshape(found["asked"], asked.shape), asked)
    assert asked.all() == (squash.kind == "none")  # as it is, its slope inside rules nothing out
    assert np.array_equal(np.float32(found["values"]).reshape(values.shape), values)
