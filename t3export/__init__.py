"""t3export: text-to-3D models out of PyTorch and onto devices.

from t3export import Bundle
chair = Bundle.open("artifacts/shape_e_int8/cpu").generate("a red chair", seed=0)
chair.save("chair.glb")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporter.recipe.recipe_file import load_recipe
    from exporter.runtime.assets.mesh import Mesh
    from exporter.runtime.assets.meshfile import save_mesh
    from exporter.runtime.bundle import Bundle
    from exporter.runtime.generated import GeneratedObject
    from exporter.targets.target import load_target
    from validate.objects.best_of import ClipJudge

__all__ = ["Bundle", "ClipJudge", "GeneratedObject", "Mesh", "load_recipe", "load_target", "save_mesh"]

_HOMES = {
    "Bundle": "exporter.runtime.bundle",
    "ClipJudge": "validate.objects.best_of",
    "GeneratedObject": "exporter.runtime.generated",
    "Mesh": "exporter.runtime.assets.mesh",
    "load_recipe": "exporter.recipe.recipe_file",
    "load_target": "exporter.targets.target",
    "save_mesh": "exporter.runtime.assets.meshfile",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 't3export' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
