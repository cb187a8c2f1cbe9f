"""The web client's picture of a tensor is Python's, byte for byte."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.runtime.assets.pictures import picture_of
from tests.exporter.runtime.assets.test_tensor_picture import run_of
from tests.node import run_node

DRAW = """
import { imageOf } from "./image.js";
const pipeline = { asset: () => given.asset };
const tensor = async () => ({ data: Float32Array.from(given.values), dims: given.dims });
const { data, width, height } = await imageOf({ pipeline, tensor });
tell({ data: [...data], width, height });
"""


@pytest.mark.parametrize(("black", "white"), [(-1.0, 1.0), (255.0, 0.0)])
@pytest.mark.parametrize("channels", ["first", "last"])
def test_a_tensor_gives_the_bytes_that_python_gives(channels, black, white):
    values = np.random.default_rng(0).uniform(-1.2, 1.2, (1, 3, 5, 4) if channels == "first" else (1, 5, 4, 3))
    # Exact halves between two bytes are rounded to the even one.
    values.flat[:3] = black + (white - black) * np.array([0.5, 1.5, 2.5]) / 255
    run = run_of(values, channels, black, white)
    asset = run.pipeline.assets["picture"].model_dump()
    given = {"asset": asset, "values": run["paper"].ravel().tolist(), "dims": list(values.shape)}
    drawn = run_node(DRAW, given)
    found = np.reshape(drawn["data"], (drawn["height"], drawn["width"], 4))
    assert np.array_equal(found[..., :3], picture_of(run)) and (found[..., 3] == 255).all()
