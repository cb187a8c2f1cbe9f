"""The latents rung where a trajectory forks: some prompts may end elsewhere, and how many is what decides."""

from __future__ import annotations

import math

import numpy as np
import pytest

from validate.ladder.compare import parity_figures
from validate.ladder.result import Figure
from validate.ladder.rungs.latents import with_forks

REFERENCE = np.random.default_rng(0).normal(size=(4, 8))
NEAR, ELSEWHERE, NOWHERE = 0.01, 0.6, 1.5


def prompts(*errors: float) -> list[list[Figure]]:
    """The figures of prompts whose latents are off by these relative errors, at most 0.2 allowed."""
    return [
        parity_figures("denoiser", "latents", REFERENCE, REFERENCE * (1 + error), relative_limit=0.2, where=str(index))
        for index, error in enumerate(errors)
    ]


def missed(figures: list[Figure]) -> list[str]:
    return [figure.where or figure.measure for figure in figures if not figure.passed]


def test_one_of_three_may_end_elsewhere_and_is_counted():
    figures = with_forks(prompts(NEAR, ELSEWHERE, NEAR), share=0.34)
    assert missed(figures) == []
    counted = figures[-1]
    assert (counted.measure, counted.value, counted.limit) == ("prompts that end elsewhere", 1, 1)
    assert [one.where for one in figures if one.value == pytest.approx(ELSEWHERE)] == ["1, elsewhere"]


def test_where_none_may_each_prompt_decides():
    assert missed(with_forks(prompts(NEAR, ELSEWHERE, NEAR), share=0.0)) == ["1"]
    assert missed(with_forks(prompts(ELSEWHERE), share=0.34)) == ["0"]


def test_more_than_may_miss_and_are_all_told():
    assert missed(with_forks(prompts(ELSEWHERE, ELSEWHERE, NEAR), 0.34)) == ["0", "1", "prompts that end elsewhere"]


@pytest.mark.parametrize("error", [NOWHERE, math.nan])
def test_what_is_further_off_than_no_latents_at_all_is_no_fork(error):
    assert missed(with_forks(prompts(NEAR, error, NEAR), share=0.34)) == ["1"]


def test_latents_of_another_shape_are_no_fork():
    of_prompts = prompts(NEAR, NEAR, NEAR)
    of_prompts[1] = parity_figures("denoiser", "latents", REFERENCE, REFERENCE[:2], relative_limit=0.2, where="1")
    assert missed(with_forks(of_prompts, share=0.34)) == ["1"]
