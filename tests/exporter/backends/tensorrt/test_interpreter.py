"""A bundle with engines is run by the Python that has TensorRT; on a Jetson that is the system's."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.backends.tensorrt import device
from exporter.backends.tensorrt.finish import finish
from exporter.backends.tensorrt.interpreter import own_source, python_with_tensorrt
from exporter.errors import EnvironmentProblem
from exporter.manifest import read_manifest
from tests.exporter.backends.tensorrt.conftest import FAKES, Device

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def finished(built_kit, tmp_path_factory):
    folder = shutil.copytree(built_kit.out, tmp_path_factory.mktemp("finished") / "kit")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in Device().environment.items():
            patch.setenv(name, value)
        finish(folder, on_line=lambda line: None)
    return folder


def python_of(folder: Path, *places: Path) -> str:
    """A Python of its own that finds packages in these places too, as a system's has what was installed for it."""
    path = os.pathsep.join(map(str, places))
    script = folder / "python3"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(path)} exec {shlex.quote(sys.executable)} "$@"\n')
    script.chmod(0o755)
    return str(script)


def test_this_python_will_do_for_programs_and_kits(built_kit, finished):
    assert python_with_tensorrt(read_manifest(built_kit.out), None) is None
    assert python_with_tensorrt(read_manifest(finished), "onnxruntime") is None


def test_where_no_python_has_tensorrt_the_session_says_so(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(device, "SYSTEM_PYTHON", python_of(tmp_path, ROOT))
    assert python_with_tensorrt(read_manifest(finished), None) is None


def test_the_one_command_is_told_where_the_other_python_has_no_t3export(finished, tmp_path, monkeypatch):
    without = tmp_path / "without/t3export"
    without.mkdir(parents=True)
    (without / "__init__.py").write_text("raise ModuleNotFoundError('t3export')")
    system = python_of(tmp_path, without.parent, FAKES)
    monkeypatch.setattr(device, "SYSTEM_PYTHON", system)
    with pytest.raises(EnvironmentProblem) as caught:
        python_with_tensorrt(read_manifest(finished), None)
    assert f"`{system} -m pip install {ROOT}`" in str(caught.value) and own_source() == str(ROOT)


def test_run_goes_on_in_the_python_that_has_tensorrt(finished, tmp_path):
    system = python_of(tmp_path, ROOT, FAKES)
    program = (
        f"import exporter.backends.tensorrt.device as device; device.SYSTEM_PYTHON = {system!r}\n"
        "from t3export.cli import main; main()"
    )
    command = ["run", str(finished), "--prompt", "a ball", "--image", "ball.png", "--pixels", "8"]
    done = subprocess.run(
        [sys.executable, "-c", program, *command],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"going on with {system}" in done.stderr and (tmp_path / "ball.png").exists()


def test_no_module_is_taken_from_the_folder_one_happens_to_be_in(tmp_path, monkeypatch):
    (tmp_path / "planted.py").touch()
    monkeypatch.chdir(tmp_path)
    assert not device.can_import(sys.executable, "planted")
