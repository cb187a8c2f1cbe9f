from __future__ import annotations

import numpy as np
import pytest
import trimesh

from exporter.runtime.assets.meshfile import save_mesh
from tests.exporter.runtime.assets.textured import MESH


@pytest.mark.parametrize(("size", "millimetres"), [(None, 100), (0.08, 80)])
def test_a_solid_in_millimetres_that_lies_as_the_mesh(tmp_path, size, millimetres):
    save_mesh(MESH, tmp_path / "ring.stl", size=size)
    read = trimesh.load(tmp_path / "ring.stl")
    assert read.is_watertight and max(read.extents) == pytest.approx(millimetres, rel=1e-5)
    assert read.extents.argmin() == 2
    sides = np.ptp(MESH.vertices, axis=0)
    assert np.allclose(read.extents / max(read.extents), sides / max(sides), atol=1e-5)
