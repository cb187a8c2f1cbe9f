from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

from validate.page.plots import Limit, Plot, Series, draw, legend, powers, ticks


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 117), (24, 24), (1e-9, 3e-9)])
def test_ticks_are_round_and_cover_the_range(low: float, high: float) -> None:
    found = ticks(low, high)
    assert found[0] <= low and found[-1] >= high and 3 <= len(found) <= 8
    assert powers(0.02, 30) == pytest.approx([0.01, 0.1, 1, 10, 100])


def test_a_chart_is_well_formed_and_names_its_points() -> None:
    series = [Series("a", [0, 1, 2], [1.0, math.inf, 3.0], ["one", "exact", "<three>"]), Series("b", [0, 2], [2, 2])]
    plot = Plot("Drift & more", "evaluation", "dB", series, [Limit(2.5, "at least 2.5 dB")])
    text = str(draw(plot))
    assert "one" in text and "exact" not in text and "&lt;three&gt;" in text and "at least 2.5 dB" in text
    assert 'role="img"' in text and "Drift &amp; more" in text and text.count("<rect") == 2
    ElementTree.fromstring(
        text.replace("class=plot", 'class="plot"')
        .replace("class=grid", 'class="grid"')
        .replace("class=limit", 'class="limit"')
    )
    assert "b" in legend(plot)


def test_nothing_but_exact_values_is_said_in_words() -> None:
    assert "exact" in draw(Plot("t", "x", "y", [Series("a", [0], [math.inf])]))
