"""What a scene keeps of what was asked for."""

from typing import Any

import bpy

from .about import ABOUT


class ObjectSettings(bpy.types.PropertyGroup):
    """The fields of the panel. Blender's seeds have 31 bits."""

    prompt: bpy.props.StringProperty(name="Prompt", default="a red chair")  # type: ignore[valid-type]
    picture: bpy.props.StringProperty(name="Picture", subtype="FILE_PATH")  # type: ignore[valid-type]
    negative: bpy.props.StringProperty(name="Unlike")  # type: ignore[valid-type]
    seed: bpy.props.IntProperty(name="Seed", min=0, default=0)  # type: ignore[valid-type]
    quality: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Quality",
        items=[(name, name.capitalize(), f"{grid} samples along an edge") for name, grid in ABOUT["qualities"].items()],
        default="normal",
    )

    def fields(self) -> list[str]:
        """Those that this bundle has."""
        own = ["prompt"] if "text" in ABOUT["takes"] else ["picture"] if "picture" in ABOUT["takes"] else []
        return [*own, *(["negative"] if ABOUT["negative"] else []), "seed", "quality"]

    def asked(self) -> dict[str, Any]:
        """They as `Bundle.generate` takes them."""
        given: dict[str, Any] = {name: getattr(self, name) for name in self.fields()}
        if "picture" in given:
            given["picture"] = bpy.path.abspath(given["picture"])
        return {name: value for name, value in given.items() if name != "negative" or value}


def settings_name() -> str:
    """Of the property of scenes that has them; several bundles may be installed side by side."""
    return f"t3export_{ABOUT['id']}"


def settings_of(context: bpy.types.Context) -> Any:
    """Those of the scene."""
    return getattr(context.scene, settings_name())
