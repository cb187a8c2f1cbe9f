"""What is told of the mesh in a file."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.placing import extent
from exporter.runtime.assets.solid.topology import topology


def dimensions(mesh: Mesh, metres_per_unit: float) -> dict[str, Any]:
    """How a mesh that is not empty hangs together and how large it is, as JSON data: millimetres, cubic centimetres.

    The sides are along x, y and z where z is up.
    """
    shape = topology(mesh)
    found = asdict(shape)
    volume = found.pop("volume") * (metres_per_unit * 100) ** 3
    sides = (extent(mesh).astype(float) * metres_per_unit * 1000).tolist()
    return found | {"closed": shape.is_closed, "volume_cm3": volume, "size_mm": sides}
