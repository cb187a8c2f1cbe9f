"""What is in the zip, and which bundles become one."""

from __future__ import annotations

import importlib.util
import json
import re
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from exporter.blender import extension
from exporter.errors import BundleError
from exporter.manifest import read_manifest
from exporter.runtime.bundle import Bundle
from tests.toy_bundle import write_toy_bundle

tomllib = pytest.importorskip("tomllib")
VERSION = "1.2.3"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def packed(toy_bundle, tmp_path_factory):
    """The toy with two wheels that are none."""
    folder = tmp_path_factory.mktemp("packed")
    wheels = [
        folder / "t3export_runtime-1.2.3-py3-none-any.whl",
        folder / "onnxruntime-1-cp311-cp311-manylinux_2_28_x86_64.whl",
    ]
    for wheel in wheels:
        wheel.write_bytes(wheel.name.encode())
    path = folder / "toy.zip"
    extension.write_extension(toy_bundle, read_manifest(toy_bundle), path, VERSION, wheels)
    return zipfile.ZipFile(path)


def test_blender_finds_what_it_asks_of_an_extension(packed):
    found = tomllib.loads(packed.read("blender_manifest.toml").decode())
    assert found["id"] == "t3export_toy_cpu" and found["type"] == "add-on" and found["version"] == VERSION
    assert re.fullmatch(r"4\.2\.\d", found["blender_version_min"]) and found["platforms"] == ["linux-x64"]
    assert set(found["permissions"]) == {"files"}
    lines = [found["name"], found["tagline"], *found["permissions"].values()]
    assert all(len(line) <= 64 and line[-1].isalnum() for line in lines)
    assert {name.removeprefix("./") for name in found["wheels"]} <= set(packed.namelist())
    assert "__init__.py" in packed.namelist()


def test_the_bundle_goes_along_whole(packed, tmp_path):
    packed.extractall(tmp_path)
    assert Bundle.open(tmp_path / "bundle").manifest.name == "toy/cpu"
    about = json.loads((tmp_path / "about.json").read_text())
    assert about["takes"] == ["text"] and about["requirement"] == "t3export-runtime[cpu,mesh,tokenizers]==1.2.3"
    assert about["negative"] is False and about["id"] == "toy_cpu"


def test_the_same_bundle_gives_the_same_bytes_and_nothing_beside_them(toy_bundle, tmp_path):
    for name in "ab":
        extension.write_extension(toy_bundle, read_manifest(toy_bundle), tmp_path / f"{name}.zip", VERSION)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "b.zip"]


def test_a_failure_leaves_the_former_file(own_bundle, tmp_path):
    manifest, path = read_manifest(own_bundle), tmp_path / "toy.zip"
    path.write_bytes(b"former")
    (own_bundle / "projector.onnx").unlink()
    with pytest.raises(FileNotFoundError):
        extension.write_extension(own_bundle, manifest, path, VERSION)
    assert path.read_bytes() == b"former" and {one.name for one in tmp_path.iterdir()} == {"bundle", "toy.zip"}


def test_programs_that_do_not_run_in_blender_are_refused(toy_bundle):
    manifest = read_manifest(toy_bundle)
    other = manifest.model_copy(update={"target": manifest.target | {"backend": "tensorrt"}})
    with pytest.raises(BundleError, match="build the recipe with --target cpu"):
        extension.require_runs_in_blender(toy_bundle, other)
    pictures = manifest.model_copy(update={"assets": {"image": manifest.assets["image"]}})
    with pytest.raises(BundleError, match="it makes no mesh; it makes image"):
        extension.require_runs_in_blender(toy_bundle, pictures)


@pytest.mark.parametrize("project", ["pyproject.toml", "distributions/runtime/pyproject.toml"])
def test_what_is_installed_goes_with_the_numpy_of_the_oldest_blender(project):
    needed = tomllib.loads((ROOT / project).read_text())["project"]["dependencies"]
    (numpy,) = [one for one in map(Requirement, needed) if one.name == "numpy"]
    assert numpy.specifier.contains(extension.OLDEST_NUMPY)


@pytest.mark.parametrize("name, found", [("Shape-E int8/cpu", "shape_e_int8_cpu"), ("3d/cpu", "bundle_3d_cpu")])
def test_a_name_becomes_one_that_blender_takes(toy_bundle, name, found):
    assert extension.extension_id(read_manifest(toy_bundle).model_copy(update={"name": name})) == found


@pytest.fixture(scope="module")
def object_thread(blenders_runtime):
    """The module of the add-on that knows nothing of Blender."""
    found = importlib.util.spec_from_file_location("object_thread", extension.ADDON / "object_thread.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def made(thread):
    thread.start()
    thread.join(60)
    return thread.error


def test_the_thread_writes_what_the_bundle_saves(object_thread, toy_bundle, tmp_path):
    asked = {"prompt": "a red ball", "seed": 3, "grid": 16}
    assert made(object_thread.ObjectThread(toy_bundle, asked, tmp_path / "object.glb")) is None
    Bundle.open(toy_bundle).generate(**asked).save(tmp_path / "saved.glb")
    assert (tmp_path / "object.glb").read_bytes() == (tmp_path / "saved.glb").read_bytes()


def test_the_thread_says_why_there_is_nothing(object_thread, toy_bundle, tmp_path):
    path = tmp_path / "object.glb"
    assert "prompt: words" in made(object_thread.ObjectThread(toy_bundle, {"prompt": " "}, path))
    assert "no such folder" in made(object_thread.ObjectThread(tmp_path / "none", {"prompt": "a ball"}, path))
    cancelled = object_thread.ObjectThread(toy_bundle, {"prompt": "a ball"}, path)
    cancelled.cancel()
    assert made(cancelled) == "cancelled" and not path.exists()


def test_a_bundle_that_takes_nothing_has_no_field_for_it(tmp_path):
    folder = write_toy_bundle(tmp_path / "bundle")
    manifest = read_manifest(folder).model_copy(update={"inputs": {}})
    assert extension._about(folder, manifest, VERSION)["takes"] == []
