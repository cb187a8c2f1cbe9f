"""A tiny random TripoSR from a picture to a mesh: on a processor, in JavaScript, and near its surface alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial import KDTree

from exporter.build.build import build
from exporter.graphs.operators import count_operators
from exporter.recipe.recipe_file import load_recipe
from exporter.runtime.bundle import Bundle
from exporter.runtime.surface.decoded import field_of
from exporter.runtime.surface.extract import extract_mesh
from exporter.targets.target import load_target
from tests.node import run_node

ROOT = Path(__file__).parents[4]
SMALL = ["model.weights=random:triposr-tiny", "mesh.grid=32", "render.size=16", "render.coarse_samples=16"]
CPU_RUNTIMES = ("cpu", "cpu-executorch")
MESH = """
import { meshOf, WebBundle } from "./index.js";
import { verify } from "./goldens.js";
const bundle = await WebBundle.open(given.bundle);
const picture = { data: Uint8ClampedArray.from(given.data), width: given.width, height: given.height };
const mesh = await meshOf(bundle.make({ picture }));
tell({ vertices: [...mesh.vertices], verified: (await verify(bundle)).every(({ passed }) => passed) });
"""


@pytest.fixture(scope="module")
def made(step_cache, tmp_path_factory):
    """Bundles by target, each built once."""
    folder, known = tmp_path_factory.mktemp("triposr"), {}

    def bundle(target):
        if target not in known:
            recipe = load_recipe(ROOT / "recipes/triposr_fp32.yaml", SMALL)
            build(recipe, load_target(target), folder / target, cache=step_cache, need_gain=False)
            known[target] = folder / target
        return known[target]

    return bundle


def apart(one, other):
    """How far the vertex of either mesh is at most from the nearest of the other, in units of the model."""
    return max(KDTree(a).query(b)[0].max() for a, b in ((one, other), (other, one)))


def test_a_density_is_asked_near_its_surface_alone_and_nothing_is_missed(made):
    run = Bundle.open(made("cpu")).make({"picture": ROOT / "recipes/pictures/mug.png"})
    field, seen = field_of(run), []
    near = extract_mesh(field, 48, on_sampled=seen.append)
    exact = extract_mesh(field, 48, exact=True)
    assert field.squash == ("exp", 25.0) and len(exact.faces) > 100
    assert np.array_equal(near.vertices, exact.vertices) and seen[0].share < 1


def test_the_web_client_makes_the_same_mesh_by_gathers(made):
    programs = {target: count_operators(made(target) / "field/program.onnx") for target in ("cpu", "web")}
    assert "GridSample" in str(programs["cpu"]) and "GridSample" not in str(programs["web"])
    picture = Image.open(ROOT / "recipes/pictures/chair.png").convert("RGBA")
    given = {"data": np.asarray(picture).ravel().tolist(), "width": picture.width, "height": picture.height}
    found = run_node(MESH, given | {"bundle": str(made("web"))})
    expected = Bundle.open(made("cpu")).generate(ROOT / "recipes/pictures/chair.png").vertices
    vertices = np.reshape(found["vertices"], (-1, 3))
    assert found["verified"] and len(vertices) == len(expected) > 100
    # The two marching cubes number the vertices in another order.
    assert apart(vertices, expected) < 1e-3


@pytest.mark.slow
def test_executorch_makes_the_same_mesh(made):
    meshes = [Bundle.open(made(target)).generate(ROOT / "recipes/pictures/chair.png") for target in CPU_RUNTIMES]
    assert len(meshes[0].vertices) > 100 and apart(*(mesh.vertices for mesh in meshes)) < 1e-3
