"""Times taken in turns, on a clock of the test's own."""

from __future__ import annotations

import pytest

from validate.table import timing
from validate.table.timing import FEWEST_ROUNDS, MOST_ROUNDS, interleaved


class Clock:
    """Time that passes only while one of the two works."""

    def __init__(self):
        self.now = 0.0
        self.turns = []

    def perf_counter(self):
        return self.now

    def working(self, name, *seconds):
        queue = list(seconds)

        def work():
            self.turns.append(name)
            self.now += queue.pop(0) if len(queue) > 1 else queue[0]

        return work


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(timing, "time", made)
    return made


def test_the_ratio_says_how_many_times_as_fast(clock):
    speed = interleaved(clock.working("fp32", 3.0), clock.working("int8", 1.0), seconds=40)
    assert speed.ratio == speed.low == speed.high == 3.0
    assert (speed.seconds, speed.baseline_seconds, speed.rounds) == (1.0, 3.0, 10)


def test_both_take_turns_and_the_first_turn(clock):
    interleaved(clock.working("a", 1.0), clock.working("b", 1.0), seconds=8)
    assert clock.turns == ["a", "b"] + ["a", "b", "b", "a"] * 2


def test_the_first_run_of_each_is_not_counted(clock):
    assert interleaved(clock.working("a", 99.0, 1.0), clock.working("b", 50.0, 1.0), seconds=10).ratio == 1.0


def test_a_slow_spell_widens_the_spread_and_leaves_the_median(clock):
    slow = clock.working("fp32", 1.0, 1.0, 1.0, 8.0, 1.0, 1.0, 8.0, 1.0)
    speed = interleaved(slow, clock.working("int8", 1.0), seconds=20)
    assert speed.ratio == 1.0 and speed.high > speed.low == 1.0


@pytest.mark.parametrize(("seconds", "rounds"), [(0.0, FEWEST_ROUNDS), (1e9, MOST_ROUNDS)])
def test_neither_too_few_nor_too_many_rounds(clock, seconds, rounds):
    assert interleaved(clock.working("a", 1.0), clock.working("b", 1.0), seconds).rounds == rounds
