"""What is said of how far a verb is, with a clock that is turned by hand."""

from __future__ import annotations

import pytest

from exporter.machine.meter import StepRecord
from t3export.progress import Bar, span
from t3export.steps import StepLines


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_off_a_terminal_a_line_says_how_far_it_is_and_what_is_left(capsys):
    clock = Clock()
    bar = Bar(get_time=clock)
    task = bar.add_task("objects", total=40)
    bar.say()
    clock.now += 30
    bar.update(task, completed=10)
    bar.say()
    bar.begin(task, "error by layer")
    clock.now += 5
    bar.say()
    bar.begin(task, "error by layer")
    bar.update(task, completed=2, total=2)
    bar.say()
    assert capsys.readouterr().err.splitlines() == [
        "  objects: 0 of 40, 0 s",
        "  objects: 10 of 40, 30 s, about 2 min left",
        "  error by layer: under way, 5 s",
    ]


def test_names_are_shown_as_they_are(capsys):
    bar = Bar(get_time=Clock())
    bar.add_task("pull \\[x] of a", total=None)
    bar.say()
    assert capsys.readouterr().err == "  pull [x] of a: under way, 0 s\n"


@pytest.mark.parametrize(("quiet", "speaks"), [(False, True), (True, False)])
def test_it_speaks_by_itself_unless_it_is_told_not_to(monkeypatch, quiet, speaks):
    monkeypatch.setattr("t3export.progress.SECONDS_BETWEEN", 0.0)
    bar = Bar(quiet=quiet)
    bar.add_task("sensitivity", total=None)
    spoken = []
    monkeypatch.setattr(Bar, "say", lambda self: (spoken.append(1), self._over.set()))
    bar.start()
    if bar._speaker:
        bar._speaker.join()
    bar.stop()
    assert bool(spoken) == speaks


def test_the_steps_of_a_build_are_said_too(capsys):
    steps = StepLines()
    steps.started("trace denoiser")
    steps.advanced("trace denoiser", 3, 4)
    steps._bar.say()
    assert capsys.readouterr().err.startswith("  trace denoiser: 3 of 4, ")
    steps.started("observe denoiser")
    steps.advanced("sensitivity", 2, 78)
    steps._bar.say()
    assert capsys.readouterr().err.startswith("  sensitivity: 2 of 78, ")


def test_a_step_that_is_over_is_not_said_to_be_under_way(capsys):
    steps = StepLines()
    steps.started("trace [x]")
    steps.finished(StepRecord("trace [x]", 2.0, 10**8))
    steps._bar.say()
    assert capsys.readouterr().err.splitlines()[-1] == "  after trace [x]: under way, 0 s"


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (9000, "2.5 h")]
)
def test_times_for_people(seconds, told):
    assert span(seconds) == told
