"""JavaScript of the web client, run under Node.js."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CLIENT = Path(__file__).parents[1] / "exporter/runtime/web"
PRELUDE = """
import { readFileSync } from "node:fs";
const given = JSON.parse(readFileSync(0));
const tell = (found) => process.stdout.write(JSON.stringify(found));
"""


def run_node(script: str, given: Any = None, timeout: float = 120) -> Any:
    """What a script tells of what it is given, both as JSON; it runs as a module in the client's folder."""
    command = [node(), "--input-type=module", "--eval", PRELUDE + script]
    done = subprocess.run(command, cwd=CLIENT, input=json.dumps(given), capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def node() -> str:
    """Node.js with the client's packages. A machine without it fails the tests: left out, they would prove nothing."""
    beside = Path(sys.executable).with_name("node")
    found = shutil.which("node") or (str(beside) if beside.exists() else None)
    if not found or not (CLIENT / "node_modules/onnxruntime-web").is_dir():
        pytest.fail("Node.js with the packages of exporter/runtime/web is needed: `make web` sets both up")
    return found
