"""The packages that a bundle runs with: in the extension, or else in a folder of its own that pip fills."""

import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import bpy
import numpy

from .about import ABOUT


def missing() -> list[str]:
    """Those that cannot be imported."""
    return [name for name in ABOUT["modules"] if find_spec(name) is None]


def own_folder() -> Path:
    """Where pip puts them; Blender keeps it when the extension is updated."""
    return Path(bpy.utils.user_resource("DATAFILES")) / "t3export" / f"python{sys.version_info[0]}{sys.version_info[1]}"


def look_in_own_folder() -> None:
    """Lets them be imported from there, after all that Blender brings along."""
    if (place := str(own_folder())) not in sys.path:
        sys.path.append(place)


def pip_command() -> str:
    """What installs them, with this Blender's Python, beside its numpy."""
    words = [sys.executable, "-m", "pip", "install", "--target", str(own_folder())]
    words += [ABOUT["requirement"], f"numpy=={numpy.__version__}"]
    return subprocess.list2cmdline(words) if _on_windows() else shlex.join(words)


def terminal() -> str:
    """Where that command is typed."""
    return "the Command Prompt" if _on_windows() else "a terminal"


def _on_windows() -> bool:
    return sys.platform == "win32"
