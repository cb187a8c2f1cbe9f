"""Meshes and pictures as text inside a page."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.pictures import mesh_picture, png
from validate.objects.exhibits import Exhibit, MadeExhibit

POSTER = 192
HALF_RANGE = 32767.0


@dataclass(frozen=True)
class ModelShown:
    """A mesh for the page's viewer, packed, and its picture as an address; `faces` is 0 where there is no surface."""

    vertices: int
    faces: int
    model: str
    poster: str


@dataclass(frozen=True)
class Shown(ModelShown):
    """One side of an exhibit."""

    label: str
    render: str | None


def shown(exhibit: Exhibit) -> list[Shown]:
    """Reference and bundle, in this order."""
    return [_shown("reference", exhibit.reference), _shown("bundle", exhibit.bundle)]


def model_shown(mesh: Mesh) -> ModelShown:
    """A mesh, which may be empty, for the page's viewer."""
    poster = picture_address(mesh_picture(mesh, POSTER))
    return ModelShown(len(mesh.vertices), len(mesh.faces), pack(mesh), poster)


def pack(mesh: Mesh) -> str:
    """A mesh in [-1, 1]³ as base64 of zlib of: positions int16 [V, 3], faces uint32 [F, 3], colours uint8 [V, 3]."""
    positions = np.round(np.clip(mesh.vertices, -1, 1) * HALF_RANGE).astype("<i2")
    colors = np.round(mesh.colors * 255).astype(np.uint8)
    padding = b"\0" * (positions.nbytes % 4)
    whole = positions.tobytes() + padding + mesh.faces.astype("<u4").tobytes() + colors.tobytes()
    return base64.b64encode(zlib.compress(whole, 9)).decode()


def picture_address(picture: NDArray[np.uint8]) -> str:
    """A picture as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png(picture)).decode()


def _shown(label: str, made: MadeExhibit) -> Shown:
    render = None if made.render is None else picture_address(made.render)
    return Shown(**vars(model_shown(made.mesh)), label=label, render=render)
