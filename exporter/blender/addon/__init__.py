"""Objects of prompts or pictures in Blender, made by the bundle that lies beside this file."""

# Blender reads the annotations of its classes as they are.
import bpy

from . import packages
from .operators import CLASSES as OPERATORS
from .panel import ObjectPanel
from .settings import ObjectSettings, settings_name

CLASSES = (ObjectSettings, *OPERATORS, ObjectPanel)


def register() -> None:
    """Called by Blender when the extension is switched on."""
    packages.look_in_own_folder()
    for one in CLASSES:
        bpy.utils.register_class(one)
    setattr(bpy.types.Scene, settings_name(), bpy.props.PointerProperty(type=ObjectSettings))


def unregister() -> None:
    """Called by Blender when it is switched off."""
    delattr(bpy.types.Scene, settings_name())
    for one in reversed(CLASSES):
        bpy.utils.unregister_class(one)
