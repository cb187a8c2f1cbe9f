from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import BundleError
from exporter.pipeline.tensor import TensorSpec
from exporter.runtime.sessions.pieces import pieces, run_in_pieces

POINTS = TensorSpec("points", "float32", ("batch", "points", 3))
WEIGHT = TensorSpec("weight", "float32", ("batch", 2))
STEP = TensorSpec("step", "float32", ())
SUMS = TensorSpec("sums", "float32", ("batch", "points"))
INPUTS, LARGEST = (POINTS, WEIGHT, STEP), {"batch": 1, "points": 4}


def arrays(batch, points):
    rng = np.random.default_rng(batch * 100 + points)
    return {
        "points": rng.standard_normal((batch, points, 3), np.float32),
        "weight": rng.standard_normal((batch, 2), np.float32),
        "step": np.array(3, np.float32),
        "other": np.zeros(7),
    }


def sums(piece):
    return {"sums": piece["points"].sum(-1) + piece["weight"].sum(-1, keepdims=True) + piece["step"]}


@given(st.integers(0, 3), st.integers(0, 11))
def test_pieces_give_what_the_whole_gives(batch, points):
    seen = []

    def run(piece):
        seen.append(piece["points"].shape)
        assert piece["step"].shape == () and "other" not in piece
        return sums(piece)

    given_arrays = arrays(batch, points)
    found = run_in_pieces(run, INPUTS, [SUMS], LARGEST, given_arrays)["sums"]
    assert np.array_equal(found, sums(given_arrays)["sums"])
    assert found.dtype == np.float32
    assert all(b <= 1 and 0 < p <= 4 for b, p, _ in seen)
    assert len(seen) == batch * -(-points // 4)


def test_every_number_is_in_one_piece():
    cut = list(pieces(INPUTS, arrays(2, 9), LARGEST))
    assert [piece["points"].shape for piece in cut] == [(1, 4, 3), (1, 4, 3), (1, 1, 3)] * 2
    assert np.array_equal(np.concatenate([p["points"][0] for p in cut[:3]]), arrays(2, 9)["points"][0])


def test_a_program_without_dynamic_dimensions_runs_once():
    assert (
        run_in_pieces(lambda piece: {"y": piece["step"]}, [STEP], [TensorSpec("y", "int64", ())], {}, arrays(1, 1))["y"]
        == 3
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weight": np.zeros((3, 2), np.float32)}, r"input 'weight' has shape \[3, 2\], the program takes"),
        ({"weight": np.zeros(2, np.float32)}, r"input 'weight' has shape \[2\]"),
        ({"points": np.zeros((2, 5, 4), np.float32)}, r"input 'points' has shape \[2, 5, 4\]"),
    ],
)
def test_arrays_that_do_not_fit_are_told(wrong, message):
    with pytest.raises(BundleError, match=message):
        run_in_pieces(sums, INPUTS, [SUMS], LARGEST, arrays(2, 5) | wrong)
