"""t3export-runtime: bundles of text-to-3D models on a device, without what makes them.

from t3export import Bundle
chair = Bundle.open("shape_e_int8/cpu").generate("a red chair", seed=0)
chair.save("chair.glb")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporter.runtime.assets.mesh import Mesh
    from exporter.runtime.assets.meshfile import save_mesh
    from exporter.runtime.bundle import Bundle
    from exporter.runtime.generated import GeneratedObject

__all__ = ["Bundle", "GeneratedObject", "Mesh", "save_mesh"]

_HOMES = {
    "Bundle": "exporter.runtime.bundle",
    "GeneratedObject": "exporter.runtime.generated",
    "Mesh": "exporter.runtime.assets.mesh",
    "save_mesh": "exporter.runtime.assets.meshfile",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
