"""A kit of a tiny Shap-E, and a machine that seems to have TensorRT."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.build.build import build
from exporter.targets.target import load_target
from tests.exporter.build.test_build import in_int8, recipe_of

FAKES = Path(__file__).parent / "fakes"


@pytest.fixture(scope="session")
def recipe(tiny_folder):
    return recipe_of(
        tiny_folder, quantization=in_int8("text_encoder/*", "denoiser/*.transformer_blocks.*", "projector/*")
    )


@pytest.fixture(scope="session")
def built_kit(recipe, step_cache, tmp_path_factory):
    """The report of a build for the Orin; its folder is not to be changed."""
    return build(recipe, load_target("orin"), tmp_path_factory.mktemp("kit") / "tiny", cache=step_cache)


@pytest.fixture
def kit(built_kit, tmp_path):
    """A copy of its folder."""
    return Path(shutil.copytree(built_kit.out, tmp_path / "kit"))


class Device:
    """Runs commands as on a machine with a GPU and TensorRT of this version, of which both are fakes."""

    def __init__(self, version="10.3"):
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(FAKES), str(Path.cwd())]),
            "FAKE_TENSORRT_VERSION": version,
            "TRTEXEC": str(FAKES / "trtexec"),
        }
        # As on any machine: what Python leaves behind when the kit's scripts run is to harm nothing.
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def run(self, folder, *command, **environment):
        return subprocess.run(
            [sys.executable if part == "python" else part for part in command],
            cwd=folder, env=self.environment | environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip


@pytest.fixture
def fake_tensorrt(monkeypatch):
    """`import tensorrt` gives the fake in this process, and so does libcudart."""
    monkeypatch.syspath_prepend(str(FAKES))
    monkeypatch.setattr(ctypes, "CDLL", ctypes.CDLL)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorrt"]:
        del sys.modules[name]


@pytest.fixture(params=["10.3", "11.1"])
def device(request):
    return Device(request.param)


@pytest.fixture
def orin(monkeypatch):
    """This process is on that machine."""
    for name, value in Device().environment.items():
        monkeypatch.setenv(name, value)
    return Device()
