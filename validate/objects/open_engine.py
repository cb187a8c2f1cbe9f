"""Engines by name: this process, processes beside it, or a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from exporter.errors import RecipeError
from validate.objects.engine import Here, TaskEngine

LOCAL = "local"


ALLOWED = "local, dask:N (N processes here), or tcp://HOST:PORT (a Dask scheduler)"


@contextmanager
def open_engine(name: str, memory: str | None = None) -> Iterator[TaskEngine]:
    """The engine of a name. `memory` bounds each process of `dask:N`, as in '4GB'; a cluster has bounds of its own.

    Raises RecipeError for a name that is none, EnvironmentProblem where Dask is missing or the scheduler does not
    answer.
    """
    if name == LOCAL:
        yield Here()
        return
    if not name.startswith(("dask:", "tcp://", "tls://")):
        raise RecipeError(f"--engine {name}: allowed: {ALLOWED}")
    from validate.objects.dask import open_dask

    with open_dask(name, memory) as engine:
        yield engine
