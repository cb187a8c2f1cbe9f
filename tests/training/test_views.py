"""Pictures for TripoSR's small model, and the frames that their objects are learnt in."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from training.config import ViewConfig
from training.data import sample_objects
from training.views import BACKGROUND, FOREGROUND, HALF_PICTURE, in_frame, in_world, make_chunk

CONFIG = replace(ViewConfig(), objects=6, points=256, image_size=24, views=1)


@pytest.fixture(scope="module")
def chunk():
    objects, _ = sample_objects(3, CONFIG.objects, captions=0)
    return {key: torch.from_numpy(value) for key, value in make_chunk(CONFIG, objects, 0).items()}


def frame_of(chunk):
    return tuple(chunk[name][:, 0] for name in ("turn", "center", "scale"))


def test_an_object_takes_its_share_of_the_picture(chunk):
    rows, columns = ((chunk["images"][:, 0] != round(BACKGROUND * 255)).any(-1).any(axis) for axis in (2, 1))
    size = CONFIG.image_size
    for seen in (rows, columns):
        assert (seen.sum(1) <= math.ceil(FOREGROUND * (1 + CONFIG.loose) * size) + 1).all()
    longer = torch.maximum(rows.sum(1), columns.sum(1))
    assert (longer >= FOREGROUND * (1 - CONFIG.loose) * size - 3).all()


def test_in_its_frame_it_is_as_large_and_in_the_middle(chunk):
    points = in_frame(chunk["points"].float(), *frame_of(chunk))
    inside = (chunk["distance"] < 0)[..., None]
    across = points.masked_fill(~inside, -9).amax(1) - points.masked_fill(~inside, 9).amin(1)
    # Across the picture, up to what perspective and the camera's height change.
    assert (across[:, 1] < 2 * FOREGROUND * HALF_PICTURE * 1.35).all()
    assert (across[:, 1:].amax(1) > FOREGROUND * HALF_PICTURE).all()
    middle = (points * inside).sum(1) / inside.sum(1)
    assert (middle[:, 1].abs() < 0.25).all()


def test_the_way_back_to_the_world(chunk):
    points = torch.from_numpy(np.random.default_rng(0).random((6, 5, 3), dtype=np.float32))
    assert torch.allclose(in_world(in_frame(points, *frame_of(chunk)), *frame_of(chunk)), points, atol=1e-5)


def test_the_camera_is_on_x(chunk):
    turn, center, scale = frame_of(chunk)
    ahead = torch.stack([turn.cos(), turn.sin(), torch.zeros_like(turn)], 1)
    found = in_frame((center + ahead)[:, None], turn, center, scale)[:, 0]
    assert torch.allclose(found, scale[:, None] * torch.tensor([1.0, 0, 0]), atol=1e-5)
