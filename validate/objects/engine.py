"""What an engine is, and the one that is this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


class TaskEngine(Protocol):
    """Runs a function of a module on tasks, wherever they are run: the results are the same."""

    def map(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        """The results in the order of the tasks, each as soon as those before it are there.

        Raises what the function raises.
        """


class Here:
    """This process."""

    def map(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        return map(function, tasks)
