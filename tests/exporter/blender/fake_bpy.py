"""As much of Blender's Python as the add-on's own code can be tried with where Blender is not installed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock


class Timers:
    """Functions that Blender calls, and which of them it forgets when a file is opened."""

    def __init__(self) -> None:
        self.persistent: dict = {}

    def register(self, function, *, first_interval: float = 0, persistent: bool = False) -> None:
        self.persistent[function] = persistent

    def open_file(self) -> None:
        self.persistent = {function: True for function, kept in self.persistent.items() if kept}

    def call(self) -> None:
        for function in list(self.persistent):
            if function() is None:
                del self.persistent[function]


def fake_bpy(folder: Path) -> MagicMock:
    """The module, with a window; whatever else is asked of it is there and does nothing."""
    types = {name: type(name, (), {}) for name in ("Operator", "Panel", "PropertyGroup")}
    bpy = MagicMock(types=SimpleNamespace(**types, Context=object, Scene=type("Scene", (), {})))
    bpy.app = SimpleNamespace(background=False, tempdir=str(folder), timers=Timers())
    bpy.utils.user_resource.return_value = str(folder / "data files")
    return bpy
