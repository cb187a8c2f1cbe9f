"""ONNX Runtime sends nothing: its variable is set before its import, whatever is imported first."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from validate.bisect.reproducer import _RUN
from validate.peers.quantize import _QUIET

ROOT = Path(__file__).parent.parent
VARIABLE = "ORT_DISABLE_TELEMETRY"
# Run by processes of their own, which get the environment of those that start them.
STARTED = ("validate/peers/scripts/", "tests/exporter/backends/tensorrt/fakes/")
SEEN = f"""
import importlib.abc, os, sys
class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime" and os.environ.get({VARIABLE!r}) != "1":
            sys.exit("onnxruntime is imported, and its telemetry is on")
sys.meta_path.insert(0, Watch())
"""


def imports_it(path: Path) -> bool:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    names = [name for node in nodes for name in _imported(node)]
    return any(name.split(".")[0] == "onnxruntime" for name in names)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []


IMPORTERS = [
    path.relative_to(ROOT).as_posix()
    for place in ("exporter", "validate", "t3export", "training", "tests")
    for path in sorted((ROOT / place).rglob("*.py"))
    if "node_modules" not in path.parts and imports_it(path)
]


def test_every_importer_is_below_a_package_that_sets_it():
    assert "exporter/runtime/sessions/onnxruntime.py" in IMPORTERS
    own = {path.split("/")[0] for path in IMPORTERS if not path.startswith(STARTED)}
    assert own <= {"exporter", "validate", "tests"}


@pytest.mark.parametrize(
    "imported",
    ["exporter", "validate", "tests", "t3export.cli", "from t3export import Bundle", "validate.bench.ceilings"],
)
def test_it_is_set_before_the_import(imported):
    statement = imported if " " in imported else f"import {imported}"
    program = f"{SEEN}{statement}\nassert os.environ[{VARIABLE!r}] == '1'"
    bare = {name: value for name, value in os.environ.items() if name != VARIABLE}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=bare, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_choice_of_one_s_own_stays():
    program = f"import exporter, os; assert os.environ[{VARIABLE!r}] == '0'"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=os.environ | {VARIABLE: "0"}, check=True)


def test_peers_and_reproducers_have_it_too():
    assert _QUIET[VARIABLE] == "1"
    assert _RUN.index(VARIABLE) < _RUN.index("import onnxruntime")
