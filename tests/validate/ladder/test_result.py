"""Figures beside their limits."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from validate.ladder.result import Figure, RungResult


@given(st.floats(), st.floats(-1e6, 1e6), st.sampled_from(["at least", "at most"]))
def test_a_figure_passes_exactly_when_its_limit_is_kept(value: float, limit: float, sense: str) -> None:
    figure = Figure("field", "color", "SNR", value, limit=limit, sense=sense)
    kept = value >= limit if sense == "at least" else value <= limit
    assert figure.passed == kept
    assert not math.isnan(figure.margin)


def test_a_figure_without_a_limit_informs() -> None:
    assert Figure("field", "color", "SNR", math.nan).passed
    assert not Figure("field", "color", "SNR", math.nan, limit=0.0).passed


def test_the_worst_figure_is_the_one_furthest_beyond_its_limit() -> None:
    figures = (
        Figure("denoiser", "prediction", "SNR", 80, "dB", 90.0, where="evaluation 3"),
        Figure("denoiser", "prediction", "SNR", 20, "dB", 90.0, where="evaluation 7"),
        Figure("denoiser", "prediction", "max abs", 1e9),
    )
    result = RungResult("denoiser", "", figures, "failed")
    assert result.summary == "denoiser prediction, evaluation 7: SNR 20 dB (at least 90 dB)"
    assert RungResult("renders", "", status="skipped", reason="no renderer").summary == "no renderer"


def test_figures_in_decibels_are_weighed_by_their_distance_from_the_limit() -> None:
    near, far = Figure("a", "", "SNR", 14, "dB", 5.0), Figure("b", "", "SNR", 130, "dB", 90.0)
    assert RungResult("stages", "", (far, near)).worst is near


def test_equal_and_infinite_figures_keep_their_limits() -> None:
    assert Figure("a", "b", "drop", 0.0, limit=0.0, sense="at most").margin == 0
    assert Figure("a", "b", "SNR", math.inf, limit=90.0).passed
    assert not Figure("a", "b", "Chamfer distance", math.inf, limit=0.1, sense="at most").passed
    assert Figure("a", "b", "SNR", -math.inf, "dB").to_dict()["value"] == "-inf"


def test_a_drop_below_nothing_is_a_gain() -> None:
    drop, gain = (Figure("bundle", "R-Precision", "drop", value, "points", 2.0, "at most") for value in (1.5, -10.0))
    assert str(drop) == "drop 1.5 points (at most 2 points)" and drop.passed
    assert str(gain) == "gain 10 points (a drop of at most 2 points)" and gain.passed
    assert gain.to_dict()["value"] == -10.0 and gain.to_dict()["measure"] == "drop"
