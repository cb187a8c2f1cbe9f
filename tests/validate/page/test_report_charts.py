"""What the charts of a report say beside what they draw."""

from __future__ import annotations

from typing import Any

import pytest

from validate.page.report_charts import drift


def figure(tensor: str, value: float, limit: float | None) -> dict[str, Any]:
    return {
        "stage": "denoiser",
        "tensor": tensor,
        "measure": "SNR",
        "value": value,
        "limit": limit,
        "where": "evaluation 0",
    }


@pytest.mark.parametrize(("limit", "whose", "told"), [(None, "guided prediction: ", True), (24.0, "", False)])
def test_a_limit_says_whose_it_is_where_points_below_it_decide_nothing(limit, whose, told) -> None:
    figures = [figure("prediction", 30.0, 24.0), figure("next_sample", 20.0 if limit is None else 40.0, limit)]
    (chart,) = drift({"steps": {"figures": figures}})
    assert [line.label for line in chart["plot"].limits] == [f"{whose}at least 24 dB"]
    assert ("updated sample decides nothing" in chart["told"]) is told


def test_the_last_value_of_the_drift_is_that_of_the_latents() -> None:
    points = [{"stage": "denoiser", "evaluation": place, "relative_l2": 0.1 * place} for place in range(3)]
    (chart,) = drift({"latents": {"details": {"drift": points}, "worst": {"limit": 0.3}}})
    (series,) = chart["plot"].series
    assert list(series.labels) == ["evaluation 0: 0", "evaluation 1: 0.1", "latents: 0.2"]
