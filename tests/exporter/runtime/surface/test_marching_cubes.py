from __future__ import annotations

import numpy as np
import pytest
import skimage.measure
import trimesh
from scipy.ndimage import zoom
from scipy.spatial import KDTree

from exporter.runtime.surface.cube_table import TRIANGLES
from exporter.runtime.surface.extract import OFF_SURFACE
from exporter.runtime.surface.marching_cubes import EDGE_AXIS, EDGE_FROM, marching_cubes
from tests.exporter.runtime.fields import ball, cube, torus
from tests.node import run_node

AXIS = np.linspace(-1, 1, 34)
POINTS = np.stack(np.meshgrid(AXIS, AXIS, AXIS, indexing="ij"), axis=-1).reshape(-1, 3)
SHAPES = {"ball": ball(0.61), "torus": torus, "cube": cube}


def enclosed(samples):
    """Samples as `extract_mesh` has them: none is 0, all at the border are negative."""
    samples = np.where(samples > 0, np.maximum(samples, OFF_SURFACE), np.minimum(samples, -OFF_SURFACE))
    return np.pad(samples.astype(np.float32), 1, constant_values=-1.0)


def smooth_noise(side=40, seed=0):
    coarse = np.random.default_rng(seed).standard_normal((8, 8, 8))
    return enclosed(zoom(coarse, side / 8, order=1))


@pytest.mark.parametrize("name", [*SHAPES, "smooth noise"])
def test_vertices_are_those_of_scikit_image_and_so_is_the_volume(name):
    # Its own choice, Lewiner's, has one vertex more inside a few cubes whose corners can be joined in two ways.
    method = "lewiner" if name in SHAPES else "lorensen"
    samples = enclosed(SHAPES[name].distance(POINTS).reshape((34,) * 3)) if name in SHAPES else smooth_noise()
    vertices, faces = marching_cubes(samples)
    theirs, their_faces, _, _ = skimage.measure.marching_cubes(samples, 0.0, gradient_direction="ascent", method=method)
    assert len(vertices) == len(theirs)
    assert KDTree(vertices).query(theirs)[0].max() < 1e-4 and KDTree(theirs).query(vertices)[0].max() < 1e-4
    volume, expected = (
        trimesh.Trimesh(*mesh, process=False).volume for mesh in [(vertices, faces), (theirs, their_faces)]
    )
    assert volume == pytest.approx(expected, rel=1e-3)


def test_noise_has_every_case_and_a_closed_surface():
    samples = enclosed(np.random.default_rng(0).standard_normal((24, 24, 24)))
    vertices, faces = marching_cubes(samples)
    solid = trimesh.Trimesh(vertices, faces, process=False)
    inside = samples > 0
    bits = sum(
        inside[x : x + 25, y : y + 25, z : z + 25].astype(int) << (4 * x + 2 * y + z)
        for x in (0, 1)
        for y in (0, 1)
        for z in (0, 1)
    )
    assert len(np.unique(bits)) == 256
    assert solid.is_watertight and solid.is_winding_consistent and solid.volume > 0
    assert faces.dtype == np.int32 and len(np.unique(faces)) == len(vertices)


def test_samples_of_other_sides_than_a_cube():
    samples = enclosed(ball(0.5).distance(POINTS).reshape((34,) * 3)[10:, 5:-7])
    vertices, faces = marching_cubes(samples)
    assert trimesh.Trimesh(vertices, faces, process=False).is_watertight
    assert (vertices.max(axis=0) < samples.shape).all() and vertices[:, 2].max() > samples.shape[1]


def test_the_order_of_samples_in_memory_changes_nothing():
    samples = smooth_noise()
    for found, expected in zip(marching_cubes(np.asfortranarray(samples)), marching_cubes(samples), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_the_table_is_that_of_the_client_in_javascript():
    script = 'import { EDGES, TRIANGLES } from "./cube_table.js"; tell([EDGES, TRIANGLES]);'
    edges, triangles = run_node(script)
    assert triangles == TRIANGLES
    assert [edge["from"] for edge in edges] == EDGE_FROM.tolist()
    assert [edge["axis"] for edge in edges] == EDGE_AXIS.tolist()
