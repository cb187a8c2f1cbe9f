from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import t3export
from tests.t3export.test_fresh_environment import make_environment

BLENDER = "bpy==5.0.1"
SCRIPTS = Path(__file__).parent / "in_blender"


@pytest.fixture(scope="module")
def blenders_runtime():
    """The distribution for apps, which a checkout has under other names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "t3export_runtime", t3export)
        yield


@pytest.fixture(scope="session")
def blender(tmp_path_factory):
    """Runs a script with Blender's Python, in an environment of its own, and gives what it told."""
    folder = tmp_path_factory.mktemp("blender")
    python, _ = make_environment(folder)
    subprocess.run([python, "-m", "pip", "install", "--quiet", BLENDER], check=True)

    def run(script: str, *arguments: object, user: str = "user") -> dict:
        """`user`: whose extensions and preferences."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"BLENDER_USER_RESOURCES": str(folder / user), "HOME": str(folder / user)}
        command = [str(python), str(SCRIPTS / script), *map(str, arguments)]
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
        told = [line.removeprefix("TOLD ") for line in done.stdout.splitlines() if line.startswith("TOLD ")]
        assert told, done.stdout[-3000:] + done.stderr[-3000:]
        return json.loads(told[0])

    run.python = python
    return run
