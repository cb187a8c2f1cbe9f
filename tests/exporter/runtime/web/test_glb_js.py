"""The web client's file of a mesh says that it is no metal, and is what Khronos' validator expects."""

from __future__ import annotations

from tests.node import run_node

WRITE = """
import { toGlb } from "./index.js";
import validator from "gltf-validator";
const corners = Float32Array.from([0, 0, 0, 1, 0, 0, 0, 1, 0]);
const glb = toGlb({ vertices: corners, faces: Uint32Array.from([0, 1, 2]), colors: corners });
const length = new DataView(glb.buffer).getUint32(12, true);
const { issues } = await validator.validateBytes(glb);
tell({ tree: JSON.parse(new TextDecoder().decode(glb.subarray(20, 20 + length))), issues });
"""


def test_the_material_is_matte_as_pythons():
    found = run_node(WRITE)
    issues = found["issues"]
    assert (issues["numErrors"], issues["numWarnings"], issues["numInfos"]) == (0, 0, 0), issues["messages"]
    assert found["tree"]["materials"] == [{"pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": 0.9}}]
    assert found["tree"]["meshes"][0]["primitives"][0]["material"] == 0
