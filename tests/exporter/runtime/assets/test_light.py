"""The bundle and the original share this formula: it is held to the standard's own values (IEC 61966-2-1)."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.runtime.assets.mesh import linear_to_srgb, srgb_to_linear

# Linear light and its sRGB: black, the end of the straight piece, 18 % grey, half of either, white.
STANDARD = [
    (0.0, 0.0), (0.0031308, 0.04045), (0.18, 0.461356), (0.214041, 0.5), (0.5, 0.735357), (1.0, 1.0),
]  # fmt: skip


@pytest.mark.parametrize(("linear", "srgb"), STANDARD)
def test_light_is_the_standards(linear, srgb):
    assert float(linear_to_srgb(np.array(linear))) == pytest.approx(srgb, abs=1e-5)
    assert float(srgb_to_linear(np.array(srgb))) == pytest.approx(linear, abs=1e-5)
