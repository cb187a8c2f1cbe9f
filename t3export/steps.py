"""The steps of a build on stderr: a live line on a terminal, and one line with time and peak memory for each done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from t3export.progress import Bar

if TYPE_CHECKING:
    from exporter.machine.meter import StepRecord


class StepLines:
    """The build's Progress. To be used as a context, so that the live line is taken away at the end."""

    def __init__(self) -> None:
        self._bar = Bar()
        self._task = self._bar.add_task("starting", total=None)

    def __enter__(self) -> StepLines:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def started(self, step: str) -> None:
        """Shows the step with its own clock."""
        self._bar.restart(self._task, escape(step))

    def advanced(self, step: str, done: int, total: int) -> None:
        """Shows how far the step is."""
        self._bar.begin(self._task, escape(step))
        self._bar.update(self._task, completed=done, total=total)

    def finished(self, record: StepRecord) -> None:
        """Leaves a line behind. What comes before the next step, such as to hash and to keep files, has no name."""
        cached = "  [dim]cached[/]" if record.cached else ""
        peak = f"peak {record.peak_bytes / 1e9:5.2f} GB"
        self._bar.console.print(f"{escape(record.name):32} {record.seconds:7.1f} s  {peak}{cached}")
        self._bar.restart(self._task, f"after {escape(record.name)}")
