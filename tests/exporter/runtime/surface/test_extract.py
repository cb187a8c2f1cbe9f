from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh
from diffusers.pipelines.shap_e.renderer import BoundingBoxVolume, volume_query_points
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.runtime.assets.mesh import srgb_to_linear
from exporter.runtime.surface.extract import Field, FieldSamples, extract_mesh, grid_points, sample
from tests.exporter.runtime.fields import ball, cube, everything, nothing, of, torus, union

FIELDS = {
    "ball": (ball(0.61), 4 / 3 * np.pi * 0.61**3, 1),
    "torus": (torus, 2 * np.pi**2 * 0.6 * 0.2**2, 1),
    "cube": (cube, 1.0, 1),
    "cut by the border": (ball(1.2), None, 1),
    "the whole volume": (everything, 8.0, 1),
    "two balls": (union(ball(0.3, (0.5, 0, 0)), ball(0.2, (-0.5, 0.1, 0))), 4 / 3 * np.pi * (0.3**3 + 0.2**3), 2),
    "a thin tail": (union(ball(0.3), of(lambda p: 0.03 - np.hypot(p[:, 1], p[:, 2]) - (abs(p[:, 0]) > 0.8))), None, 1),
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


def test_what_was_asked_is_told_and_colours_only_at_the_vertices():
    asked, colored, told = [], [], []
    field = Field(
        lambda points: (asked.append(len(points)), torus.distance(points))[1],
        lambda points: (colored.append(len(points)), torus.color(points))[1],
    )
    mesh = extract_mesh(field, 128, on_sampled=told.append)
    assert sum(asked) == told[0].points < 0.15 * 128**3 and told[0].share == sum(asked) / 128**3
    assert colored == [len(mesh.vertices)]
    extract_mesh(field, 16, exact=True, on_sampled=told.append)
    assert told[1] == FieldSamples(grid=16, points=16**3, certain=0.0) and told[1].share == 1.0


def test_the_lattice_is_that_of_diffusers():
    box = BoundingBoxVolume(bbox_min=[-1.0, -1.0, -1.0], bbox_max=[1.0, 1.0, 1.0])
    asked = []
    sample(lambda points: (asked.append(points), everything.distance(points))[1], 17, exact=True)
    assert np.array_equal(asked[0], volume_query_points(box, 17).numpy())
    assert np.array_equal(grid_points(np.array([[127, 0, 64]]), 128)[0, :2], [1.0, -1.0])


def test_vertices_lie_where_diffusers_puts_them_but_for_its_stretching():
    """diffusers spreads the bordered lattice over the volume; the same vertices, times (grid - 1) / (grid + 1)."""
    grid = 16
    values, _ = sample(ball(0.55).distance, grid, exact=True)
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


def test_by_openais_conventions_it_is_shrunk_and_its_colours_are_linear():
    field = ball(0.7)
    mesh, theirs = (extract_mesh(field, 24, exact=True, as_openai=as_openai) for as_openai in (False, True))
    assert theirs.vertices == pytest.approx(mesh.vertices * 23 / 25, abs=1e-6)
    assert np.array_equal(theirs.faces, mesh.faces)
    at_the_shrunk_places = np.clip(theirs.vertices / 2 + 0.5, 0, 1)
    assert theirs.colors == pytest.approx(srgb_to_linear(at_the_shrunk_places), abs=1e-6)


def test_an_empty_field_is_an_empty_mesh():
    mesh = extract_mesh(nothing, 16)
    assert mesh.is_empty and mesh.colors.shape == (0, 3)


def test_samples_on_the_surface_itself_leave_the_mesh_closed():
    mesh = extract_mesh(of(lambda points: np.round(ball(0.5).distance(points), 1)), 32, exact=True)
    assert trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).is_watertight


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), grid=st.integers(8, 20))
def test_any_field_gives_a_closed_mesh(seed, grid):
    values = torch.nn.functional.interpolate(
        torch.randn(1, 1, 6, 6, 6, generator=torch.Generator().manual_seed(seed)), (grid,) * 3, mode="trilinear"
    ).numpy().reshape(-1)  # fmt: skip
    mesh = extract_mesh(of(lambda points: values), grid, exact=True)
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    edges = np.unique(np.sort(solid.edges, axis=1), axis=0, return_counts=True)[1]
    assert (edges % 2 == 0).all()
    assert solid.volume > 0
