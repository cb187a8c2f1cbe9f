from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh
from diffusers.pipelines.shap_e.renderer import BoundingBoxVolume, volume_query_points
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.runtime.extract import extract_mesh, grid_points, sample_exact
from tests.exporter.runtime.fields import ball, cube, everything, torus, union

FIELDS = {
    "ball": (ball(0.61), 4 / 3 * np.pi * 0.61**3, 1),
    "torus": (torus, 2 * np.pi**2 * 0.6 * 0.2**2, 1),
    "cube": (cube, 1.0, 1),
    "cut by the border": (ball(1.2), None, 1),
    "the whole volume": (everything, 8.0, 1),
    "two balls": (union(ball(0.3, (0.5, 0, 0)), ball(0.2, (-0.5, 0.1, 0))), 4 / 3 * np.pi * (0.3**3 + 0.2**3), 2),
    "a thin tail": (union(ball(0.3), lambda p: (0.03 - np.hypot(p[:, 1], p[:, 2]) - (abs(p[:, 0]) > 0.8), p)), None, 1),
}


@pytest.mark.parametrize("grid", [63, 64])
@pytest.mark.parametrize("name", FIELDS)
def test_closed_outward_and_of_the_right_size(name, grid):
    field, volume, parts = FIELDS[name]
    mesh = extract_mesh(field, grid)
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert solid.is_watertight and solid.is_winding_consistent
    assert solid.body_count == parts
    assert solid.volume == pytest.approx(volume, rel=0.05) if volume else solid.volume > 0
    assert mesh.vertices.dtype == np.float32 and mesh.faces.dtype == np.int32


@pytest.mark.parametrize("grid", [33, 62, 64])
@pytest.mark.parametrize("name", FIELDS)
def test_coarse_to_fine_equals_exact(name, grid):
    field = FIELDS[name][0]
    fast, exact = extract_mesh(field, grid), extract_mesh(field, grid, exact=True)
    assert np.array_equal(fast.vertices, exact.vertices)
    assert np.array_equal(fast.faces, exact.faces)


def test_coarse_to_fine_asks_for_a_fraction_of_the_points():
    asked = []

    def counting(points):
        asked.append(len(points))
        return torus(points)

    vertices = len(extract_mesh(counting, 128).vertices)
    assert sum(asked) - vertices < 0.2 * 128**3


def test_a_detached_speck_between_coarse_samples_needs_exact():
    field = union(ball(0.4, (-0.4, 0, 0)), ball(0.03, (0.7, 0.69, 0.68)))
    assert extract_mesh(field, 64, exact=True).vertices[:, 0].max() > 0.65
    assert extract_mesh(field, 64).vertices[:, 0].max() < 0.1


def test_the_lattice_is_that_of_diffusers():
    box = BoundingBoxVolume(bbox_min=[-1.0, -1.0, -1.0], bbox_max=[1.0, 1.0, 1.0])
    asked = []
    sample_exact(lambda points: (asked.append(points), everything(points))[1], 17)
    assert np.array_equal(asked[0], volume_query_points(box, 17).numpy())
    assert np.array_equal(grid_points(np.array([[127, 0, 64]]), 128)[0, :2], [1.0, -1.0])


def test_vertices_lie_where_diffusers_puts_them_but_for_its_stretching():
    """diffusers spreads the bordered lattice over the volume; the same vertices, times (grid - 1) / (grid + 1)."""
    grid = 16
    values = sample_exact(ball(0.55), grid)
    bordered = np.pad(values, 1, constant_values=-1.0)
    crossings = []
    for axis in range(3):
        low, high = np.moveaxis(bordered, axis, 0)[:-1], np.moveaxis(bordered, axis, 0)[1:]
        places = np.argwhere((low > 0) != (high > 0))
        first, second = low[tuple(places.T)], high[tuple(places.T)]
        index = np.moveaxis(places[:, 1:], 1, 0).tolist()
        index.insert(axis, places[:, 0] + first / (first - second))
        crossings.append(np.stack(index, axis=1) / (grid + 1) * 2 - 1)
    expected = np.concatenate(crossings) * (grid + 1) / (grid - 1)
    vertices = extract_mesh(ball(0.55), grid, exact=True).vertices
    distance = np.linalg.norm(vertices[:, None] - expected[None], axis=-1)
    assert len(vertices) == len(expected)
    assert distance.min(axis=1).max() < 1e-5 and distance.min(axis=0).max() < 1e-5


def test_normals_point_out_of_a_ball():
    mesh = extract_mesh(ball(0.7), 48)
    outward = mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    assert (mesh.vertex_normals() * outward).sum(axis=1).min() > 0.98


def test_colors_are_asked_at_the_vertices_inside_the_volume():
    mesh = extract_mesh(ball(1.2), 24)
    assert mesh.colors == pytest.approx(np.clip(mesh.vertices / 2 + 0.5, 0, 1), abs=1e-6)


def test_an_empty_field_is_an_empty_mesh():
    mesh = extract_mesh(lambda points: (-np.ones(len(points)), points), 16)
    assert mesh.is_empty and mesh.colors.shape == (0, 3)


def test_samples_on_the_surface_itself_leave_the_mesh_closed():
    mesh = extract_mesh(lambda points: (np.round(ball(0.5)(points)[0], 1), points), 32, exact=True)
    assert trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).is_watertight


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), grid=st.integers(8, 20))
def test_any_field_gives_a_closed_mesh(seed, grid):
    values = torch.nn.functional.interpolate(
        torch.randn(1, 1, 6, 6, 6, generator=torch.Generator().manual_seed(seed)), (grid,) * 3, mode="trilinear"
    ).numpy().reshape(-1)  # fmt: skip
    mesh = extract_mesh(lambda p: (values if len(p) == len(values) else np.zeros(len(p)), p), grid, exact=True)
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    edges = np.unique(np.sort(solid.edges, axis=1), axis=0, return_counts=True)[1]
    assert (edges % 2 == 0).all()
    assert solid.volume > 0
