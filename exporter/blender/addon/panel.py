"""The panel, in the side bar of the 3D view (N)."""

import textwrap

import bpy

from . import packages
from .about import ABOUT
from .operators import CANCEL, COPY, GENERATE, At
from .settings import settings_of

LETTERS = 40
"""In a line of the side bar."""


class ObjectPanel(bpy.types.Panel):
    """The fields of an object, and the button that makes it."""

    bl_idname = f"VIEW3D_PT_t3export_{ABOUT['id']}"
    bl_label = ABOUT["name"]
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "t3export"

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender whenever it is to be seen."""
        column = self.layout.column()
        if missing := packages.missing():
            self._lines(
                f"Not installed: {', '.join(missing)}. Run this in {packages.terminal()}, then start Blender again."
            )
            column.operator(COPY)
            return
        settings = settings_of(context)
        for name in settings.fields():
            column.prop(settings, name)
        if At.thread is None:
            column.operator(GENERATE)
            self._lines(At.said)
        else:
            column.label(text=At.thread.progress)
            column.operator(CANCEL)

    def _lines(self, text: str) -> None:
        for line in textwrap.wrap(text, LETTERS):
            self.layout.label(text=line)
