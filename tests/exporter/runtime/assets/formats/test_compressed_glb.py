"""A compressed GLB is the plain one within its quantization, for other readers too."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from exporter.errors import EnvironmentProblem, RecipeError
from exporter.runtime.assets import optional
from exporter.runtime.assets.formats.compressed_glb import COMPRESSED, QUANTIZED, to_compressed_glb
from exporter.runtime.assets.formats.glb import to_glb
from exporter.runtime.assets.formats.glb_container import unpack_glb
from exporter.runtime.assets.mesh import srgb_to_linear
from exporter.runtime.assets.meshfile import save_mesh
from exporter.runtime.assets.placing import place
from tests.exporter.runtime.assets.formats.test_gltf_validator import validated
from tests.exporter.runtime.assets.textured import DENSE, LABEL, MESH, TEXTURE
from tests.node import run_node

needs_meshopt = pytest.mark.skipif(not optional.is_installed("meshopt"), reason="meshopt is not installed")
KINDS = {5120: np.int8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
# three.js reads it in Node.js where there is no picture in it.
READ_BY_THREE = """
import { GLTFLoader } from "three/examples/jsm/loaders/GLTFLoader.js";
import { Vector3 } from "three";
import { MeshoptDecoder } from "three/examples/jsm/libs/meshopt_decoder.module.js";
globalThis.self = globalThis;
const loader = new GLTFLoader().setMeshoptDecoder(MeshoptDecoder);
const { scene } = await loader.parseAsync(new Uint8Array(readFileSync(given)).buffer, "");
scene.updateMatrixWorld(true);
let mesh;
scene.traverse((part) => (mesh = part.isMesh ? part : mesh));
const rows = (name) => {
  const attribute = mesh.geometry.attributes[name];
  return Array.from({ length: attribute.count }, (_, i) => new Vector3().fromBufferAttribute(attribute, i));
};
const positions = rows("position").map((place) => place.applyMatrix4(mesh.matrixWorld).toArray());
const [colors, normals] = ["color", "normal"].map((name) => rows(name).map((row) => row.toArray()));
tell({ positions, colors, normals, faces: mesh.geometry.index.count });
"""


def read(glb):
    """The triangles of a file, and what it says of each vertex, by semantic."""
    import meshopt

    tree, binary = unpack_glb(glb)

    def array(index):
        accessor = tree["accessors"][index]
        view, kind = tree["bufferViews"][accessor["bufferView"]], KINDS[accessor["componentType"]]
        columns = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        if packed := view.get("extensions", {}).get(COMPRESSED):
            data = binary[packed["byteOffset"] :][: packed["byteLength"]]
            unpacked = meshopt.decode_gltf_buffer(data, packed["count"], packed["byteStride"], packed["mode"])
            rows = unpacked.reshape(packed["count"], -1).view(kind)[:, :columns]
            return rows / np.iinfo(kind).max if accessor.get("normalized") else rows.astype(np.float64)
        data = binary[view["byteOffset"] :][: view["byteLength"]]
        return np.frombuffer(data, kind).reshape(-1, columns).astype(np.float64)

    (node,) = (node for node in tree["nodes"] if "mesh" in node)
    (primitive,) = tree["meshes"][0]["primitives"]
    found = {name: array(index) for name, index in primitive["attributes"].items()}
    found["POSITION"] = found["POSITION"] * node.get("scale", 1) + node.get("translation", 0)
    return array(primitive["indices"]).reshape(-1, 3).astype(int), found


def turned(faces):
    """Each triangle begun at its smallest vertex, its winding kept."""
    first = faces.argmin(axis=1)[:, None]
    return sorted(map(tuple, np.take_along_axis(faces, (first + np.arange(3)) % 3, axis=1).tolist()))


@needs_meshopt
@pytest.mark.parametrize("texture", [None, TEXTURE], ids=["vertex colours", "textured"])
def test_it_unpacks_to_the_plain_file(texture):
    placed = place(MESH, texture, "y", 1.0)
    compressed = to_compressed_glb(placed, LABEL, "a.glb")["a.glb"]
    assert unpack_glb(compressed)[0]["extensionsRequired"] == [QUANTIZED, COMPRESSED]
    expected_faces, expected = read(to_glb(placed, LABEL, "a.glb")["a.glb"])
    faces, found = read(compressed)
    assert found.keys() == expected.keys()
    _, vertex = cKDTree(np.hstack(list(expected.values()))).query(np.hstack(list(found.values())))
    assert turned(vertex[faces]) == turned(expected_faces)
    off = {"POSITION": np.ptp(placed.vertices, axis=0).max() / 131070, "NORMAL": 0.5 / 127, "TANGENT": 0.5 / 127}
    for name, values in found.items():
        assert np.abs(values - expected[name][vertex]).max() <= off.get(name, 0.5 / 65535) + 1e-6, name


@needs_meshopt
@pytest.mark.parametrize("texture", [None, TEXTURE], ids=["vertex colours", "textured"])
def test_the_validator_has_nothing_against_it(tmp_path, texture):
    save_mesh(MESH, tmp_path / "ring.glb", texture, LABEL, compress=True)
    report = validated(tmp_path / "ring.glb")
    assert (report["issues"]["numErrors"], report["issues"]["numWarnings"]) == (0, 0), report["issues"]["messages"]
    assert report["info"]["totalTriangleCount"] == len(MESH.faces)


@needs_meshopt
def test_it_is_a_fraction_of_the_plain_file(tmp_path):
    save_mesh(DENSE, tmp_path / "plain.glb")
    save_mesh(DENSE, tmp_path / "small.glb", compress=True)
    small, plain = ((tmp_path / name).stat().st_size for name in ("small.glb", "plain.glb"))
    assert small < plain / 3


@needs_meshopt
def test_three_opens_it(tmp_path):
    path = tmp_path / "ring.glb"
    save_mesh(MESH, path, compress=True)
    found = run_node(READ_BY_THREE, str(path))
    positions, normals, colors = (np.array(found[name]) for name in ("positions", "normals", "colors"))
    placed = place(MESH, None, "y", 1.0)
    # Each of its vertices is one of the mesh, with its colour and normal.
    distance, vertex = cKDTree(placed.vertices).query(positions)
    assert distance.max() < 1e-4 and len(set(vertex)) == len(positions) == len(MESH.vertices)
    assert np.abs(normals - placed.normals[vertex]).max() < 0.01
    assert np.abs(colors - srgb_to_linear(MESH.colors)[vertex]).max() < 1e-4
    assert found["faces"] == MESH.faces.size


def test_other_formats_and_a_missing_package_are_refused_before_anything_is_written(tmp_path, monkeypatch):
    with pytest.raises(RecipeError, match=r"a '.ply' file is not written compressed; .glb is"):
        save_mesh(MESH, tmp_path / "ring.ply", compress=True)
    monkeypatch.setattr(optional, "find_spec", lambda name: None)
    with pytest.raises(
        EnvironmentProblem, match=r"Python 3.11 or newer\) needs meshopt: `pip install 't3export\[mesh\]'`"
    ):
        save_mesh(MESH, tmp_path / "ring.glb", compress=True)
    assert not list(tmp_path.iterdir())
