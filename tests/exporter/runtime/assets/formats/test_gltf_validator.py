"""What Khronos' own validator says of the files of both forms of glTF."""

from __future__ import annotations

import pytest

from exporter.runtime.assets.meshfile import save_mesh
from tests.exporter.runtime.assets.textured import LABEL, MESH, TEXTURE
from tests.node import run_node

VALIDATE = """
import validator from "gltf-validator";
import { dirname, join } from "node:path";
const beside = (uri) => new Uint8Array(readFileSync(join(dirname(given), decodeURIComponent(uri))));
const report = await validator.validateBytes(new Uint8Array(readFileSync(given)), {
  uri: given, externalResourceFunction: async (uri) => beside(uri),
});
tell(report);
"""


def validated(path):
    return run_node(VALIDATE, str(path))


@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
@pytest.mark.parametrize("texture", [None, TEXTURE], ids=["vertex colours", "textured"])
def test_there_is_no_error_and_no_warning(tmp_path, suffix, texture):
    save_mesh(MESH, tmp_path / f"a ring{suffix}", texture, LABEL)
    report = validated(tmp_path / f"a ring{suffix}")
    issues = report["issues"]
    assert (issues["numErrors"], issues["numWarnings"], issues["numInfos"]) == (0, 0, 0), issues["messages"]
    assert report["info"]["totalTriangleCount"] == len(MESH.faces)
    assert report["info"]["hasTextures"] == (texture is not None)


def test_a_mistake_would_be_told(tmp_path):
    path = tmp_path / "ring.gltf"
    save_mesh(MESH, path, TEXTURE, LABEL)
    path.write_bytes(path.read_bytes().replace(b'"TANGENT"', b'"TANGLED"'))
    assert validated(path)["issues"]["numErrors"] > 0
