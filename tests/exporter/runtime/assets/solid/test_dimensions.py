from __future__ import annotations

import numpy as np
import pytest

from exporter.runtime.assets.solid.dimensions import dimensions
from exporter.runtime.surface.extract import extract_mesh
from tests.exporter.runtime.fields import ball, box


def test_a_ball_of_a_decimetre():
    told = dimensions(extract_mesh(ball(0.5), 96), 0.1)
    assert told["closed"] and (told["open_edges"], told["crowded_edges"]) == (0, 0)
    assert (told["components"], told["genus"]) == (1, 0)
    assert told["volume_cm3"] == pytest.approx(np.pi / 6 * 1000, rel=0.01)
    assert told["size_mm"] == pytest.approx([100, 100, 100], rel=0.01)


def test_sides_are_along_the_axes_with_z_up():
    assert dimensions(extract_mesh(box((0.5, 0.3, 0.7)), 65), 0.001)["size_mm"] == pytest.approx(
        [1, 0.6, 1.4], abs=0.05
    )
