"""What the add-on does around Blender's own work, with a Blender that is made up."""

from __future__ import annotations

import importlib
import shlex
import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from exporter.blender import extension
from exporter.manifest import read_manifest
from tests.exporter.blender.fake_bpy import fake_bpy

VERSION = "1.2.3"


@pytest.fixture
def addon(toy_bundle, tmp_path, monkeypatch, blenders_runtime):
    """The package as Blender imports it, and its bpy."""
    extension.write_extension(toy_bundle, read_manifest(toy_bundle), tmp_path / "toy.zip", VERSION)
    with zipfile.ZipFile(tmp_path / "toy.zip") as archive:
        archive.extractall(tmp_path / "made_up_addon")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    bpy = fake_bpy(temporary)
    monkeypatch.setitem(sys.modules, "bpy", bpy)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("made_up_addon")
    yield SimpleNamespace(operators=module.operators, packages=module.packages, bpy=bpy, temporary=temporary)
    for name in [name for name in sys.modules if name.partition(".")[0] == "made_up_addon"]:
        del sys.modules[name]


def begin(addon):
    """Presses the button; the thread has ended when this returns."""
    asked = {"prompt": "a red ball", "seed": 3, "grid": 16}
    context = SimpleNamespace(scene=SimpleNamespace(t3export_toy_cpu=SimpleNamespace(asked=lambda: asked)))
    assert addon.operators.MakeObject().execute(context) == {"FINISHED"}
    addon.operators.At.thread.join(60)


def test_an_object_comes_though_another_file_was_opened_meanwhile(addon):
    begin(addon)
    addon.bpy.app.timers.open_file()
    addon.bpy.app.timers.call()
    addon.bpy.ops.import_scene.gltf.assert_called_once()
    assert addon.operators.At.thread is None and not addon.bpy.app.timers.persistent


def test_without_an_importer_it_says_so_and_leaves_no_file(addon):
    addon.bpy.ops.import_scene.gltf.side_effect = AttributeError("import_scene.gltf could not be found")
    begin(addon)
    addon.bpy.app.timers.call()
    at = addon.operators.At
    assert at.thread is None and at.said == "import_scene.gltf could not be found"
    assert not list(addon.temporary.iterdir()) and not addon.bpy.app.timers.persistent


def test_the_command_for_pip_is_quoted_as_the_system_quotes(addon, monkeypatch):
    requirement = ["t3export-runtime[cpu,mesh,tokenizers]==1.2.3", f"numpy=={np.__version__}"]
    monkeypatch.setattr(sys, "platform", "linux")
    assert shlex.split(addon.packages.pip_command())[-2:] == requirement
    python = r"C:\Program Files\Blender 4.5\python.exe"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(sys, "executable", python)
    command = addon.packages.pip_command()
    assert command.startswith(f'"{python}" -m pip install --target "') and "'" not in command
    assert command.endswith(" ".join(["", *requirement])) and "Command Prompt" in addon.packages.terminal()
