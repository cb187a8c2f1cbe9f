"""3MF, what slicers take: millimetres, colours by vertex."""

from __future__ import annotations

import ctypes
import locale
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from exporter.runtime.assets.label import Label
from exporter.runtime.assets.optional import optional
from exporter.runtime.assets.placing import Placed

# Identifiers name the objects within one file.
OBJECT, ITEM, BUILD = (str(uuid.uuid5(uuid.NAMESPACE_URL, f"t3export/{part}")) for part in ("object", "item", "build"))


def to_3mf(placed: Placed, label: Label | None, name: str) -> dict[str, bytes]:
    """A 3MF named by the prompt. Raises EnvironmentProblem without lib3mf."""
    lib3mf = optional("lib3mf")
    wrapper = lib3mf.get_wrapper()
    model = wrapper.CreateModel()
    model.SetUnit(lib3mf.ModelUnit.MilliMeter)
    model.SetBuildUUID(BUILD)
    body = model.AddMeshObject()
    body.SetUUID(OBJECT)
    body.SetGeometry(
        _records(lib3mf.Position, placed.vertices, np.float32), _records(lib3mf.Triangle, placed.faces, np.uint32)
    )
    _paint(lib3mf, wrapper, model, body, placed)
    if label:
        body.SetName(label.prompt)
        model.GetMetaDataGroup().AddMetaData("", "Title", label.prompt, "xs:string", True)
        made_of = f"seed {label.seed}, bundle {label.bundle}"
        model.GetMetaDataGroup().AddMetaData("", "Description", made_of, "xs:string", True)
    model.AddBuildItem(body, wrapper.GetIdentityTransform()).SetUUID(ITEM)
    with locale_kept():
        return {name: bytes(model.QueryWriter("3mf").WriteToBuffer())}


@contextmanager
def locale_kept() -> Iterator[None]:
    """lib3mf sets the locale of the process to "C", with which Python would read every file as ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


def _paint(lib3mf: Any, wrapper: Any, model: Any, body: Any, placed: Placed) -> None:
    """Each corner of each triangle has the colour of its vertex, sRGB in 8 bits."""
    colors, vertex_color = np.unique(np.round(placed.colors * 255.0).astype(np.uint8), axis=0, return_inverse=True)
    group = model.AddColorGroup()
    identifiers = np.array([group.AddColor(wrapper.RGBAToColor(*color, 255)) for color in colors.tolist()], np.uint32)
    corners = identifiers[vertex_color.reshape(-1)[placed.faces]]
    resource = np.full((len(corners), 1), group.GetResourceID(), np.uint32)
    body.SetAllTriangleProperties(_records(lib3mf.TriangleProperties, np.hstack([resource, corners]), np.uint32))
    body.SetObjectLevelProperty(group.GetUniqueResourceID(), int(identifiers[0]))


def _records(kind: type[ctypes.Structure], rows: np.ndarray, dtype: type[np.generic]) -> Any:
    """An array as lib3mf's structures, whose fields lie in the order of its columns."""
    return (kind * len(rows)).from_buffer_copy(np.ascontiguousarray(rows, dtype).tobytes())
