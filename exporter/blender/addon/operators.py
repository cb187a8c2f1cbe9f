"""What the buttons of the panel do."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import bpy

from . import packages
from .about import ABOUT, BUNDLE
from .insertion import insert
from .object_thread import ObjectThread
from .settings import settings_of

SECONDS_BETWEEN = 0.2
GENERATE, CANCEL, COPY = (f"t3export.{verb}_{ABOUT['id']}" for verb in ("generate", "cancel", "copy_command"))


class At:
    """The object that is being made, if there is one, and what became of the last."""

    thread: ObjectThread | None = None
    said = ""


class MakeObject(bpy.types.Operator):
    """Make an object and put it at the 3D cursor"""

    bl_idname = GENERATE
    bl_label = "Make it"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """One at a time, and only with the packages for it."""
        return At.thread is None and not packages.missing()

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Starts it; without a window waits for it too."""
        path = Path(tempfile.mkdtemp(dir=bpy.app.tempdir)) / "object.glb"
        At.thread = ObjectThread(BUNDLE, settings_of(context).asked(), path)
        At.thread.start()
        if not bpy.app.background:
            # Another file may be opened meanwhile: the object comes into its scene.
            bpy.app.timers.register(look_again, first_interval=SECONDS_BETWEEN, persistent=True)
            return {"FINISHED"}
        At.thread.join()
        if finish(context):
            return {"FINISHED"}
        self.report({"ERROR"}, At.said)
        return {"CANCELLED"}


class CancelObject(bpy.types.Operator):
    """End it at the next evaluation"""

    bl_idname = CANCEL
    bl_label = "Cancel"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Lets the thread know."""
        if At.thread:
            At.thread.cancel()
        return {"FINISHED"}


class CopyCommand(bpy.types.Operator):
    """Copy the command that installs the packages, for a terminal; start Blender again after it"""

    bl_idname = COPY
    bl_label = "Copy the command for pip"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Into the clipboard."""
        context.window_manager.clipboard = packages.pip_command()
        return {"FINISHED"}


CLASSES: tuple[Any, ...] = (MakeObject, CancelObject, CopyCommand)


def look_again() -> float | None:
    """Called by Blender's timer: in how many seconds again, None once the object is there."""
    assert At.thread is not None
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()
    if At.thread.is_alive():
        return SECONDS_BETWEEN
    # A timer has no window, and the importer looks for the scene of one.
    window = next(iter(bpy.context.window_manager.windows), None)
    with bpy.context.temp_override(window=window):
        if finish(bpy.context) and bpy.ops.ed.undo_push.poll():
            bpy.ops.ed.undo_push(message=MakeObject.bl_label)
    return None


def finish(context: bpy.types.Context) -> bool:
    """Puts the object of a thread that has ended into the scene; whether there is one."""
    thread, At.thread = At.thread, None
    assert thread is not None
    error = thread.error
    if error is None:
        try:
            At.said = ", ".join(one.name for one in insert(thread.path, context))
        except Exception as problem:
            # Blender's importer may be switched off, for one.
            error = str(problem) or type(problem).__name__
    At.said = error or At.said
    shutil.rmtree(thread.path.parent, ignore_errors=True)
    return error is None
