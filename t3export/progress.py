"""How far a verb is and what is left: a live line on a terminal, a plain line every ten seconds anywhere else."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from rich.markup import render
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from t3export.output import notes
from t3export.streams import takes_every_letter

SECONDS_BETWEEN = 10.0


class Bar(Progress):
    """rich's Progress, which speaks off a terminal too. `quiet`: it never does."""

    def __init__(self, quiet: bool = False, get_time: Callable[[], float] | None = None) -> None:
        super().__init__(
            SpinnerColumn("dots" if takes_every_letter(sys.stderr) else "line"),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            _Left(),
            console=notes(),
            disable=quiet or not sys.stderr.isatty(),
            transient=True,
            get_time=get_time,
        )
        self._speaks = self.disable and not quiet
        self._over = threading.Event()
        self._speaker: threading.Thread | None = None

    def start(self) -> None:
        super().start()
        if self._speaks and self._speaker is None:
            self._speaker = threading.Thread(target=self._speak, name="progress", daemon=True)
            self._speaker.start()

    def stop(self) -> None:
        self._over.set()
        if self._speaker is not None:
            self._speaker.join()
        super().stop()

    def begin(self, task: Any, description: str, total: float | None = None) -> None:
        """Another thing to do, with a clock of its own; nothing where it is the one already."""
        if self.tasks[self.task_ids.index(task)].description != description:
            self.restart(task, description, total)

    def restart(self, task: Any, description: str, total: float | None = None) -> None:
        """The same, whatever was being done: `reset` alone would keep the total."""
        self.reset(task, description=description)
        self.tasks[self.task_ids.index(task)].total = total

    def say(self) -> None:
        """One plain line for each task that is under way."""
        for task in self.tasks:
            if not task.finished:
                self.console.print(line(task), markup=False, soft_wrap=True)

    def _speak(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN):
            self.say()


class _Left(ProgressColumn):
    """An estimate of the time that a task still takes."""

    def render(self, task: Task) -> Text:
        return Text(left(task), style="progress.remaining")


def line(task: Task) -> str:
    """A task in one line of words."""
    done = f"{task.completed:,.0f} of {task.total:,.0f}" if task.total else "under way"
    parts = [done, f"{task.elapsed or 0:.0f} s", *filter(None, [left(task)])]
    return f"  {render(task.description).plain}: {', '.join(parts)}"


def left(task: Task) -> str:
    """What is left of a task, as if the rest went on as what is done; empty where nothing is known."""
    if not task.total or not task.completed or not task.elapsed or task.finished:
        return ""
    return f"about {span(task.elapsed * (task.total - task.completed) / task.completed)} left"


def span(seconds: float) -> str:
    """A time for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
