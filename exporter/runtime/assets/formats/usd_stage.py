"""A mesh and its material as a USD stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from exporter.runtime.assets.formats.matte import METALLIC, ROUGHNESS
from exporter.runtime.assets.label import Label
from exporter.runtime.assets.mesh import srgb_to_linear
from exporter.runtime.assets.optional import optional
from exporter.runtime.assets.placing import Placed
from exporter.runtime.assets.texture.texture import Texture

# What unpacks a normal from a picture of 8 bits.
UNPACK = {"scale": (2.0, 2.0, 2.0, 1.0), "bias": (-1.0, -1.0, -1.0, 0.0)}


def usd_stage(placed: Placed, label: Label | None, stem: str) -> Any:
    """A Usd.Stage in metres; its pictures are to lie beside it, as STEM.png and STEM_normal.png.

    Raises EnvironmentProblem without usd-core.
    """
    usd, geometry = _pxr("Usd"), _pxr("UsdGeom")
    stage = usd.Stage.CreateInMemory()
    geometry.SetStageUpAxis(stage, placed.up.upper())
    geometry.SetStageMetersPerUnit(stage, 1.0)
    root = geometry.Xform.Define(stage, "/object").GetPrim()
    stage.SetDefaultPrim(root)
    usd.ModelAPI(root).SetKind("component")
    if label:
        root.SetDisplayName(label.prompt)
        # A seed may be too large for USD's integers.
        stage.GetRootLayer().customLayerData = {key: str(value) for key, value in label.to_dict().items()}
    mesh = geometry.Mesh.Define(stage, "/object/mesh")
    _shape(mesh, placed)
    material = _material(stage, placed.texture, stem)
    _pxr("UsdShade").MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(material)
    return stage


def _shape(mesh: Any, placed: Placed) -> None:
    arrays, names = _pxr("Vt"), _pxr("Sdf").ValueTypeNames
    vectors = arrays.Vec3fArray.FromNumpy
    mesh.CreateSubdivisionSchemeAttr("none")
    mesh.CreatePointsAttr(vectors(placed.vertices.astype(np.float32)))
    mesh.CreateExtentAttr(vectors(np.stack([placed.vertices.min(axis=0), placed.vertices.max(axis=0)])))
    mesh.CreateFaceVertexCountsAttr(arrays.IntArray.FromNumpy(np.full(len(placed.faces), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(arrays.IntArray.FromNumpy(placed.faces.reshape(-1)))
    mesh.CreateDisplayColorPrimvar("vertex").Set(vectors(srgb_to_linear(placed.colors).astype(np.float32)))
    texture = placed.texture
    if texture is None:
        mesh.CreateNormalsAttr(vectors(placed.normals.astype(np.float32)))
        mesh.SetNormalsInterpolation("vertex")
        return
    corners = texture.faces.reshape(-1)
    mesh.CreateNormalsAttr(vectors(texture.normals[corners].astype(np.float32)))
    mesh.SetNormalsInterpolation("faceVarying")
    places = _pxr("UsdGeom").PrimvarsAPI(mesh).CreatePrimvar("st", names.TexCoord2fArray, "faceVarying")
    # USD counts v upwards.
    places.Set(arrays.Vec2fArray.FromNumpy((texture.uv * [1, -1] + [0, 1]).astype(np.float32)))
    places.SetIndices(arrays.IntArray.FromNumpy(corners))


def _material(stage: Any, texture: Texture | None, stem: str) -> Any:
    """A matte surface, its colour from the picture or else from the vertices."""
    shading, names = _pxr("UsdShade"), _pxr("Sdf").ValueTypeNames
    material = shading.Material.Define(stage, "/object/material")
    surface = _shader(stage, "surface", "UsdPreviewSurface")
    surface.CreateInput("metallic", names.Float).Set(METALLIC)
    surface.CreateInput("roughness", names.Float).Set(ROUGHNESS)
    material.CreateSurfaceOutput().ConnectToSource(surface.ConnectableAPI(), "surface")
    color = surface.CreateInput("diffuseColor", names.Color3f)
    if texture is None:
        reader = _shader(stage, "colors", "UsdPrimvarReader_float3")
        reader.CreateInput("varname", names.String).Set("displayColor")
        color.ConnectToSource(reader.CreateOutput("result", names.Float3))
        return material
    places = _shader(stage, "places", "UsdPrimvarReader_float2")
    places.CreateInput("varname", names.String).Set("st")
    place = places.CreateOutput("result", names.Float2)
    color.ConnectToSource(_picture(stage, "base_color", f"{stem}.png", "sRGB", place))
    if texture.normal_map is not None:
        normal = _picture(stage, "normal_map", f"{stem}_normal.png", "raw", place, UNPACK)
        surface.CreateInput("normal", names.Normal3f).ConnectToSource(normal)
    return material


def _picture(
    stage: Any, name: str, file: str, space: str, place: Any, settings: Mapping[str, tuple[float, ...]] | None = None
) -> Any:
    names = _pxr("Sdf").ValueTypeNames
    picture = _shader(stage, name, "UsdUVTexture")
    picture.CreateInput("file", names.Asset).Set(f"./{file}")
    picture.CreateInput("sourceColorSpace", names.Token).Set(space)
    picture.CreateInput("st", names.Float2).ConnectToSource(place)
    for side in ("wrapS", "wrapT"):
        picture.CreateInput(side, names.Token).Set("clamp")
    for setting, value in (settings or {}).items():
        picture.CreateInput(setting, names.Float4).Set(value)
    return picture.CreateOutput("rgb", names.Float3)


def _shader(stage: Any, name: str, kind: str) -> Any:
    shader = _pxr("UsdShade").Shader.Define(stage, f"/object/material/{name}")
    shader.CreateIdAttr(kind)
    return shader


def _pxr(module: str) -> Any:
    return optional(f"pxr.{module}")
