"""A small mesh with a texture, for the tests of formats."""

from __future__ import annotations

from exporter.runtime.assets.label import Label
from exporter.runtime.assets.postprocess import Dressing, dress
from exporter.runtime.surface.extract import extract_mesh
from tests.exporter.runtime.fields import torus

LABEL = Label("a red ring, größer", 7, "d1ge57")
DENSE = extract_mesh(torus, 32)
DRESSED = dress(DENSE, torus.color, Dressing(texture=True, size=128, triangles=800))
MESH, TEXTURE = DRESSED.mesh, DRESSED.texture
