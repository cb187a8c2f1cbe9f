"""The page's USDZ, in headless Chromium, read by OpenUSD: the mesh upright, its colours in a texture."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pxr import Usd, UsdGeom, UsdShade

from exporter.runtime.assets.placing import y_up
from tests.exporter.runtime.assets.textured import MESH
from tests.exporter.runtime.web.foreign_page import write_foreign_page
from tests.web_page import opened, served

WRITE = """async ({ vertices, faces, colors }) => {
    const { toUsdz } = await import("/client/page/usdz.js");
    const mesh = { faces: Uint32Array.from(faces) };
    Object.assign(mesh, { vertices: Float32Array.from(vertices), colors: Float32Array.from(colors) });
    const refused = await toUsdz({ ...mesh, faces: new Uint32Array() }).catch(String);
    const bytes = new Uint8Array(await toUsdz(mesh));
    return [refused, btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))];
}"""


def test_each_triangle_has_its_colour_in_the_texture(browser: Any, tmp_path: Path) -> None:
    # Red to the one side and blue to the other, so that a picture that is upside down is found.
    colors = np.where(MESH.vertices[:, :1] > 0, [[0.9, 0.2, 0.1]], [[0.1, 0.3, 0.8]]).astype(np.float32)
    given = {"vertices": MESH.vertices, "faces": MESH.faces, "colors": colors}
    given = {name: values.reshape(-1).tolist() for name, values in given.items()}
    folder = write_foreign_page(tmp_path / "bundle")
    with served(folder) as url, opened(browser, url) as (page, heard):
        refused, written = page.evaluate(WRITE, given)
        assert "the mesh is empty" in refused and heard == []
    path = tmp_path / "ring.usdz"
    path.write_bytes(base64.b64decode(written))

    stage = Usd.Stage.Open(str(path))
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    (prim,) = (prim for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh))
    mesh = UsdGeom.Mesh(prim)
    corners = np.array(mesh.GetFaceVertexIndicesAttr().Get())
    assert np.allclose(
        np.array(mesh.GetPointsAttr().Get())[corners], y_up(MESH.vertices)[MESH.faces.reshape(-1)], atol=1e-5
    )
    material, _ = UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial()
    (source,) = material.ComputeSurfaceSource()[0].GetInput("diffuseColor").GetConnectedSources()[0]
    shader = UsdShade.Shader(source.source)
    assert shader.GetInput("sourceColorSpace").Get() == "sRGB"
    with zipfile.ZipFile(path) as packed:
        picture = np.asarray(Image.open(io.BytesIO(packed.read(shader.GetInput("file").Get().path))).convert("RGB"))
    (name,) = (
        one.GetPrimvarName() for one in UsdGeom.PrimvarsAPI(mesh).GetPrimvars() if one.GetPrimvarName().startswith("st")
    )
    places = np.array(UsdGeom.PrimvarsAPI(mesh).GetPrimvar(name).Get())[corners]
    across = (places[:, 0] * picture.shape[1]).astype(int)
    down = ((1 - places[:, 1]) * picture.shape[0]).astype(int)
    expected = colors[MESH.faces].mean(axis=1).repeat(3, axis=0) * 255
    assert np.abs(picture[down, across] - expected).max() <= 1
