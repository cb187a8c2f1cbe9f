"""Weights that are packed when a program is opened, and weights that stay in their file."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

SIZE = 2048
MEGABYTES = SIZE * SIZE * 4 / 1e6
OPEN = """
import json, sys
from pathlib import Path
import numpy as np
from exporter.runtime.sessions.session import open_session

def anonymous():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024

open_session("onnxruntime", Path(sys.argv[1]), {})
before = anonymous()
kept = open_session("onnxruntime", Path(sys.argv[2]), {"packed": sys.argv[3] == "True", "threads": 1})
taken = anonymous() - before
found = kept.run({"x": np.linspace(-1, 1, 2048, dtype=np.float32)[None]})["y"]
print(json.dumps({"megabytes": taken / 1e6, "sum": float(found.sum())}))
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """A program of one product with its weight beside it, and a tiny one."""
    folder = tmp_path_factory.mktemp("packed")
    for size in (SIZE, 8):
        weight = np.random.default_rng(0).standard_normal((size, size), np.float32)
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", size]) for name in "xy")
        node = helper.make_node("MatMul", ["x", "weight"], ["y"])
        graph = helper.make_graph([node], "product", [x], [y], [numpy_helper.from_array(weight, "weight")])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        onnx.save(model, folder / f"{size}.onnx", save_as_external_data=True, location=f"{size}.data")
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_weights_that_are_not_packed_stay_in_their_file(programs):
    found = {}
    for packed in (True, False):
        paths = [str(programs / "8.onnx"), str(programs / f"{SIZE}.onnx")]
        done = subprocess.run([sys.executable, "-c", OPEN, *paths, str(packed)], check=True, capture_output=True)
        found[packed] = json.loads(done.stdout)
    assert found[True]["megabytes"] > 0.9 * MEGABYTES > 0.3 * MEGABYTES > found[False]["megabytes"]
    assert found[True]["sum"] == pytest.approx(found[False]["sum"], rel=1e-3)
