from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.runtime.inputs.noise import noise

GOLDEN = json.loads((Path(__file__).parent / "noise_golden.json").read_text())

MASK = (1 << 64) - 1


def philox(key: int, block: int, draw: int = 0, stream: int = 0) -> list[int]:
    """Philox4x64-10 as published (Salmon et al., SC 2011), for the given counter block."""
    counter, keys = [block, 0, 0, draw], [key, stream]
    for _ in range(10):
        first, second = counter[0] * 0xD2E7470EE14C6C93, counter[2] * 0xCA5A826395121157
        counter = [
            (second >> 64) ^ counter[1] ^ keys[0],
            second & MASK,
            (first >> 64) ^ counter[3] ^ keys[1],
            first & MASK,
        ]
        keys = [(keys[0] + 0x9E3779B97F4A7C15) & MASK, (keys[1] + 0xBB67AE8584CAA73B) & MASK]
    return counter


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"seed {case['seed']}")
def test_the_recorded_noise(case):
    made = noise(case["seed"], tuple(case["shape"]))
    assert made.dtype == np.float32 and made.shape == tuple(case["shape"])
    assert np.allclose(made.ravel(), case["values"], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("seed", "which"),
    [
        (0, {}),
        (1, {}),
        (2**63 + 12345, {}),
        (2**64 - 1, {}),
        (7, {"draw": 3}),
        (2**64 - 1, {"draw": 127, "stream": 1}),
        (0, {"stream": 2}),
    ],
)
def test_it_can_be_written_again_from_the_paper(seed, which):
    words = np.array([word for block in (1, 2) for word in philox(seed, block, **which)], np.uint64)
    uniform = (words >> np.uint64(11)).astype(float) * 2.0**-53
    radius = np.sqrt(-2 * np.log1p(-uniform[::2]))
    expected = np.stack([radius * np.cos(2 * np.pi * uniform[1::2]), radius * np.sin(2 * np.pi * uniform[1::2])], 1)
    assert np.allclose(noise(seed, (8,), **which), expected.ravel(), rtol=1e-6)


@given(st.integers(0, 2**64 - 1), st.integers(1, 50))
def test_a_shorter_draw_is_the_start_of_a_longer_one(seed, count):
    assert np.array_equal(noise(seed, (count,)), noise(seed, (60,))[:count])


def test_no_draw_of_no_stream_is_another():
    drawn = [noise(seed, (4096,), draw, stream) for seed in (5, 6) for draw in (0, 1, 2) for stream in (0, 1)]
    assert np.abs(np.corrcoef(drawn)[np.triu_indices(len(drawn), 1)]).max() < 0.06


def test_it_is_unit_normal():
    drawn = noise(7, (64, 4096)).astype(float)
    assert abs(drawn.mean()) < 0.01 and abs(drawn.std() - 1) < 0.01
    assert abs((drawn**4).mean() - 3) < 0.05
    assert np.abs(np.corrcoef(drawn[:8])[np.triu_indices(8, 1)]).max() < 0.06
