"""What an engine is, and the one that is this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

from exporter.errors import RecipeError

Task = TypeVar("Task")
Result = TypeVar("Result")

LOCAL = "local"
ALLOWED = "local, dask:N (N processes here), or tcp://HOST:PORT (a Dask scheduler)"


class Engine(Protocol):
    """Runs a function of a module on tasks, wherever they are run: the results are the same."""

    def map(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        """The results in the order of the tasks, each as soon as those before it are there.

        Raises what the function raises.
        """


class Here:
    """This process."""

    def map(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        return map(function, tasks)


@contextmanager
def open_engine(name: str, memory: str | None = None) -> Iterator[Engine]:
    """The engine of a name. `memory` bounds each process of `dask:N`, as in '4GB'; a cluster has bounds of its own.

    Raises RecipeError for a name that is none, EnvironmentProblem where Dask is missing or the scheduler does not
    answer.
    """
    if name == LOCAL:
        yield Here()
        return
    if not name.startswith(("dask:", "tcp://", "tls://")):
        raise RecipeError(f"--engine {name}: allowed: {ALLOWED}")
    from validate.engine.dask import open_dask

    with open_dask(name, memory) as engine:
        yield engine
