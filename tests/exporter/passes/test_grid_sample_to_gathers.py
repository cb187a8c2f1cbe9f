"""Four gathers give what GridSample gives, inside and past the edge, and no other kind of it is touched."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from onnxruntime import InferenceSession
from torch.nn import functional as F

from exporter.passes.grid_sample_to_gathers import grid_sample_to_gathers

DRAW = np.random.default_rng(0)


def sampling(opset=20, channels=5, **attributes):
    """Pictures [N, channels, 6, 9] looked up at [N, h, w, 2], N, h and w dynamic."""
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", channels, 6, 9])
    grid = helper.make_tensor_value_info("grid", TensorProto.FLOAT, ["n", "h", "w", 2])
    found = helper.make_tensor_value_info("found", TensorProto.FLOAT, ["n", channels, "h", "w"])
    node = helper.make_node("GridSample", ["picture", "grid"], ["found"], "field/GridSample", **attributes)
    graph = helper.make_graph([node], "field", [picture, grid], [found])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


@pytest.mark.parametrize("opset", [18, 20, 22])
@pytest.mark.parametrize("align_corners", [0, 1])
def test_what_is_seen_is_the_same_within_1e_6(opset, align_corners):
    model = sampling(opset, mode="linear" if opset >= 20 else "bilinear", align_corners=align_corners)
    assert grid_sample_to_gathers(model) == ("GridSample", 1, 1)
    onnx.checker.check_model(model, full_check=True)
    assert "GridSample" not in {node.op_type for node in model.graph.node}
    picture = DRAW.standard_normal((3, 5, 6, 9)).astype(np.float32)
    grid = (2.6 * DRAW.random((3, 2, 40, 2)) - 1.3).astype(np.float32)
    grid[0, 0, :4] = [[-1, -1], [1, 1], [-1, 1], [0, 0]]
    found = InferenceSession(model.SerializeToString()).run(None, {"picture": picture, "grid": grid})[0]
    given = (torch.from_numpy(picture), torch.from_numpy(grid))
    expected = F.grid_sample(*given, align_corners=bool(align_corners)).numpy()
    assert found.shape == expected.shape and np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()
    assert (np.abs(expected).sum(axis=1) == 0).any()  # some lie past the edge altogether


@pytest.mark.parametrize(
    "other", [{"mode": "nearest"}, {"mode": "cubic"}, {"padding_mode": "border"}, {"channels": "c"}], ids=str
)
def test_what_is_no_plane_stays(other):
    model = sampling(**other)
    assert grid_sample_to_gathers(model) == ("GridSample", 0, 1)
    assert [node.op_type for node in model.graph.node] == ["GridSample"]
