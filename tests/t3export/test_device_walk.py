"""The flagship sentence to its end: the shipped recipe's kit for the Orin, its engines, and a GLB of a prompt.

The device is a fake: TensorRT's Python package with ONNX Runtime behind it, and a Python without PyTorch.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import trimesh

from exporter.build.build import build
from exporter.manifest import read_manifest, require_whole
from exporter.recipe.recipe_file import load_recipe
from exporter.targets.target import load_target
from tests.exporter.backends.tensorrt.conftest import FAKES
from tests.pythons import find_python
from validate.ladder.meshes import chamfer_distance

ROOT = Path(__file__).parents[2]
STEPS = 8
PROMPT = "a red chair"
NOT_ON_A_DEVICE = ("torch", "diffusers", "transformers", "safetensors", "jinja2", "markupsafe", "onnx_graphsurgeon")


@pytest.fixture(scope="module")
def bundles(step_cache, tmp_path_factory):
    """The shipped INT8 recipe, as a kit for the Orin and for this processor."""
    folder = tmp_path_factory.mktemp("bundles")
    recipe = load_recipe(ROOT / "recipes/shape_e_int8.yaml", [f"sampler.steps={STEPS}"])
    for name in ("orin", "cpu"):
        build(recipe, load_target(name), folder / name, cache=step_cache, need_gain=False)
    return folder


MODULES = {"python3 ": "", "t3export ": "-m t3export "}


class FakeDevice:
    """Commands of a person on the device, in the kit's folder, with the Python in `python`."""

    def __init__(self, kit: Path, python: Path, *places: Path) -> None:
        self.kit = kit
        own = os.environ.keys() - {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}
        self.environment = {
            **{name: os.environ[name] for name in own},
            "PYTHONPATH": os.pathsep.join(map(str, places)),
            "PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]]),
            "TRTEXEC": str(FAKES / "trtexec"),
        }
        self.python = str(python)

    def shell(self, line: str) -> str:
        line = re.sub(r"\bpython3 |\bt3export ", lambda found: f"{self.python} {MODULES[found[0]]}", line)
        done = subprocess.run(
            ["bash", "-c", line], cwd=self.kit, env=self.environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, line + done.stdout + done.stderr
        return done.stdout + done.stderr


def walk(device: FakeDevice, cpu: Path, tmp_path: Path) -> None:
    """By hand first, as the kit's page allows, then with t3export, in the words of the page and of `finish`."""
    built = read_manifest(device.kit).files.keys()
    device.shell("bash build_engines.sh && python3 verify.py")
    assert list(device.kit.glob("__pycache__/*.pyc"))
    assert "left alone: __pycache__/" in device.shell("t3export inspect .")
    told = device.shell("t3export finish .")
    assert all(name.startswith("engines/") for name in read_manifest(device.kit).files.keys() - built)
    commands = re.findall(r"^  (t3export .*)$", told, re.MULTILINE)
    page = (device.kit / "README.md").read_text()
    assert len(commands) == 2 and all(re.search(f"    {re.escape(command)}(  |\n)", page) for command in commands)
    device.shell(commands[0])
    validated = device.shell(commands[1])
    assert re.search(r"stages +passed", validated) and re.search(r"shape +skipped", validated)
    assert "t3export validate artifacts/shape_e_int8/orin --on onnxruntime" in " ".join(validated.split())
    rungs = require_whole(device.kit).validation.rungs
    assert [(rung.name, rung.passed) for rung in rungs] == [("stages", True)]

    here = subprocess.run(
        [sys.executable, "-m", "t3export", "run", str(cpu), "--prompt", PROMPT, "-o", str(tmp_path / "cpu.glb")],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert here.returncode == 0, here.stderr
    meshes = [trimesh.load(path, force="mesh") for path in (device.kit / "chair.glb", tmp_path / "cpu.glb")]
    # Each of the two may be as far from PyTorch's mesh as the recipe's own tolerance. Found: 0.0063; meshes of two
    # prompts are 0.15 apart.
    limit = 2 * read_manifest(cpu).recipe["validation"]["tolerances"]["int8"]["chamfer"]
    assert chamfer_distance(*meshes) < limit
    # Not their vertices: a device without t3export[mesh] writes the mesh as it was extracted.
    assert 0.9 < meshes[0].area / meshes[1].area < 1.1


def test_from_the_recipe_to_a_mesh_on_the_device_with_this_python(bundles, tmp_path):
    lacking = tmp_path / "lacking"
    lacking.mkdir()
    for name in NOT_ON_A_DEVICE:
        (lacking / f"{name}.py").write_text(f"raise ModuleNotFoundError('not on a device', name={name!r})")
    kit = Path(shutil.copytree(bundles / "orin", tmp_path / "kit"))
    walk(FakeDevice(kit, Path(sys.executable), FAKES, ROOT, lacking), bundles / "cpu", tmp_path)


def python_of_jetpack() -> str:
    """Python 3.10 where this machine has one, else the running one."""
    return find_python("3.10") or sys.executable


@pytest.mark.slow
@pytest.mark.parametrize("python", [pytest.param(python_of_jetpack(), id=Path(python_of_jetpack()).name)])
def test_from_the_recipe_to_a_mesh_on_the_device_with_a_wheel_and_numpy_1(bundles, tmp_path, python, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path / "wheel"), str(ROOT)]
    subprocess.run(wheel, check=True, capture_output=True, timeout=600)
    subprocess.run([python, "-m", "venv", str(tmp_path / "venv")], check=True, timeout=300)
    own = tmp_path / "venv/bin/python"
    # The last two are the fake TensorRT's.
    packages = [*map(str, (tmp_path / "wheel").glob("*.whl")), "numpy<2", "onnx", "onnxruntime"]
    subprocess.run([str(own), "-m", "pip", "install", "--quiet", *packages], check=True, timeout=1800)
    kit = Path(shutil.copytree(bundles / "orin", tmp_path / "kit"))
    walk(FakeDevice(kit, own, FAKES), bundles / "cpu", tmp_path)
