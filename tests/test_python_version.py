"""What a device's verbs import is there in Python 3.10, which JetPack 6 has, and is no package of the build."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
VERBS = ("finish", "run", "validate", "inspect", "verify")
NOT_ON_A_DEVICE = ("torch", "diffusers", "transformers", "safetensors", "jinja2", "markupsafe", "onnx", "onnxruntime")
WITHOUT_THEM = f"""
import sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name in {NOT_ON_A_DEVICE}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Without())
"""


@pytest.mark.parametrize("module", [*(f"t3export.commands.{verb}" for verb in VERBS), "validate.prove"])
def test_a_verb_of_the_device_needs_nothing_of_the_build(module):
    done = subprocess.run(
        [sys.executable, "-c", f"{WITHOUT_THEM}import {module}"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_the_checkers_hold_the_code_to_python_3_10():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for setting in ('requires-python = ">=3.10"', 'target-version = "py310"', 'python_version = "3.10"'):
        assert setting in text
