"""Laps on a clock of the test's own."""

from __future__ import annotations

from types import SimpleNamespace

from validate.bench import laps
from validate.bench.laps import Laps


def test_a_lap_inside_another_is_its_own(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(laps, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    watch = Laps()
    with watch("mesh"):
        clock.now += 1.0
        for _ in range(2):
            with watch("projector"):
                clock.now += 4.0
                with watch("text"):
                    clock.now += 0.5
        clock.now += 2.0
    with watch("mesh"):
        clock.now += 10.0
    assert watch.seconds == {"text": 1.0, "projector": 8.0, "mesh": 13.0}
