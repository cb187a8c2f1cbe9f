"""Times taken in turns, on a clock of the test's own."""

from __future__ import annotations

import pytest

from exporter.machine import timing
from exporter.machine.timing import FEWEST_ROUNDS, MOST_ROUNDS, Speed, in_turns, interleaved


class Clock:
    """Time that passes only while a side works."""

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


def speed(first, second, seconds):
    taken = interleaved({"first": first, "second": second}, seconds)
    return Speed.of(taken["first"], taken["second"])


def test_the_ratio_says_how_many_times_as_fast(clock):
    found = speed(clock.working("fp32", 3.0), clock.working("int8", 1.0), seconds=40)
    assert found.ratio == found.low == found.high == 3.0
    assert (found.seconds, found.baseline_seconds, found.rounds) == (1.0, 3.0, 10)


def test_all_take_turns_and_the_first_turn(clock):
    interleaved({name: clock.working(name, 1.0) for name in "abc"}, seconds=9)
    assert clock.turns == list("abc") + list("abc") + list("bca") + list("cab")


def test_the_first_run_of_each_is_not_counted(clock):
    assert speed(clock.working("a", 99.0, 1.0), clock.working("b", 50.0, 1.0), seconds=10).ratio == 1.0


def test_a_slow_spell_widens_the_spread_and_leaves_the_median(clock):
    slow = clock.working("fp32", 1.0, 1.0, 1.0, 8.0, 1.0, 1.0, 8.0, 1.0)
    found = speed(slow, clock.working("int8", 1.0), seconds=20)
    assert found.ratio == 1.0 and found.high > found.low == 1.0


@pytest.mark.parametrize(("seconds", "rounds"), [(0.0, FEWEST_ROUNDS), (1e9, MOST_ROUNDS)])
def test_neither_too_few_nor_too_many_rounds(clock, seconds, rounds):
    assert speed(clock.working("a", 1.0), clock.working("b", 1.0), seconds).rounds == rounds


def test_a_given_number_of_rounds_whatever_they_take(clock):
    assert list(in_turns(["a", "b"], 3)) == [["a", "b"], ["b", "a"], ["a", "b"]]
