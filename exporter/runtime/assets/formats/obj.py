"""Wavefront OBJ, with a texture also its material library and pictures beside it."""

from __future__ import annotations

import io
import re
from pathlib import PurePath
from typing import cast

import numpy as np

from exporter.runtime.assets.formats.colored import colored
from exporter.runtime.assets.formats.matte import METALLIC, ROUGHNESS
from exporter.runtime.assets.label import Label
from exporter.runtime.assets.pictures import png
from exporter.runtime.assets.placing import Placed
from exporter.runtime.assets.texture.texture import Texture

MATERIAL = "baked"


def to_obj(placed: Placed, label: Label | None, name: str) -> dict[str, bytes]:
    """chair.obj with sRGB colours behind its vertices; or with a texture chair.png, chair_normal.png, chair.mtl."""
    if placed.texture is None:
        return {name: cast(str, colored(placed).export(file_type="obj")).encode()}
    # A blank in a name ends it.
    stem = re.sub(r"\s", "_", PurePath(name).stem)
    files = {f"{stem}.png": png(placed.texture.base_color)}
    # Roughness and metalness as most readers know them, the normal map as `norm`: a bump map is a height.
    material = [
        f"newmtl {MATERIAL}",
        "Kd 1 1 1",
        "Ks 0 0 0",
        f"Pr {ROUGHNESS:g}",
        f"Pm {METALLIC:g}",
        "illum 2",
        f"map_Kd {stem}.png",
    ]
    if placed.texture.normal_map is not None:
        files[f"{stem}_normal.png"] = png(placed.texture.normal_map)
        material.append(f"norm {stem}_normal.png")
    files[f"{stem}.mtl"] = ("\n".join(material) + "\n").encode()
    return files | {name: _textured(placed, placed.texture, label, f"{stem}.mtl")}


def _textured(placed: Placed, texture: Texture, label: Label | None, library: str) -> bytes:
    """Vertices are shared along seams; places in the picture and normals are not."""
    text = io.StringIO()
    text.write(f"mtllib {library}\n")
    if label:
        text.write(f"o {' '.join(label.prompt.split())}\n")
    np.savetxt(text, placed.vertices, "v %.8g %.8g %.8g")
    # OBJ counts v upwards.
    np.savetxt(text, texture.uv * [1, -1] + [0, 1], "vt %.7g %.7g")
    np.savetxt(text, texture.normals, "vn %.6g %.6g %.6g")
    text.write(f"usemtl {MATERIAL}\n")
    flat = np.repeat(texture.faces[:, :, None], 2, axis=2)
    corners = np.concatenate([placed.faces[:, :, None], flat], axis=2).reshape(-1, 9) + 1
    np.savetxt(text, corners, "f %d/%d/%d %d/%d/%d %d/%d/%d")
    return text.getvalue().encode()
