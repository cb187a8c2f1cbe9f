"""Weights of full size whose field is a known shape: what a mesh costs depends on its surface."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from exporter.errors import WeightsError
from exporter.families.known_shapes import SHAPES
from exporter.families.registry import load_model
from exporter.families.triposr.shaped_planes import position_planes
from exporter.families.triposr.triplane_field import TriplaneField, look_up


def test_planes_say_where_a_point_is():
    planes = position_planes((3, 6, 16, 16))[None]
    points = torch.rand(1, 50, 3) * 1.8 - 0.9
    found = look_up(planes, points)[0].unflatten(1, (3, 6))
    for plane, axes in enumerate(((0, 1), (0, 2), (1, 2))):
        assert torch.allclose(found[:, plane, :2], points[0][:, axes], atol=1e-5)
    assert torch.allclose(found[:, 0, 3], torch.cos(torch.pi * points[0, :, 0]), atol=0.03)


def test_any_picture_becomes_the_shape():
    """The sizes of the release's point network on small planes: two pictures, one surface, that of the formula."""
    model = load_model("triposr", "shaped:random:triposr-tiny:ring")
    assert not model.trained
    with torch.inference_mode():
        planes = model.planes()(model.vision()[0](torch.rand(2, 3, 32, 32)))
        points = torch.rand(4000, 3) * 2 - 1
        excess = TriplaneField(model.radiance())((0.87 * points).expand(2, -1, -1), planes)[0][..., 0]
    true = SHAPES["ring"](points).numpy() > 0
    for found in (excess > 0).numpy():
        assert (found == true).mean() > 0.93 and (found & true).sum() > 0.6 * (found | true).sum()
    assert not np.array_equal(*planes.numpy()), "the picture has still a part in them"
    assert model.weights_digest != load_model("triposr", "shaped:random:triposr-tiny").weights_digest


def test_the_same_weights_every_time():
    first, second = (load_model("triposr", "shaped:random:triposr-tiny:ring").part("decoder") for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_two_shapes_are_refused():
    with pytest.raises(WeightsError, match="more than one shape"):
        load_model("triposr", "shaped:shaped:random:triposr-tiny")
