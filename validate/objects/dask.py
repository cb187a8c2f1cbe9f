"""Dask as an engine: ten packages of pure Python and 10 MB where Ray brings 70 MB compiled; both survive lost workers.

Functions and tasks are pickled between processes that trust each other; never open a scheduler to others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from exporter.errors import EnvironmentProblem, RecipeError
from validate.objects.engine import Result, Task

try:
    from distributed import Client, KilledWorker, LocalCluster
except ModuleNotFoundError as error:
    raise EnvironmentProblem(
        f"this engine needs the package '{error.name}': `pip install 't3export[cluster]'`"
    ) from None

# How many workers may die with a task before the task itself is blamed.
ALLOWED_DEATHS = 3
PATIENCE_SECONDS = 30


class DaskEngine:
    """Tasks on the workers of a client. A lost worker costs only the tasks that it had: others take them over."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def map(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        futures = self.client.map(function, tasks, pure=False)
        try:
            for future in futures:
                yield future.result()
        except KilledWorker as error:
            raise EnvironmentProblem(
                f"{ALLOWED_DEATHS + 1} workers died of the same task, most likely for lack of memory ({error}); give "
                "each more (--worker-memory), or start fewer"
            ) from None
        finally:
            self.client.cancel(futures)


@contextmanager
def open_dask(name: str, memory: str | None) -> Iterator[DaskEngine]:
    """`dask:N` starts N processes of one thread each; an address is a scheduler's."""
    import dask

    dask.config.set({"distributed.scheduler.allowed-failures": ALLOWED_DEATHS})
    if not name.startswith("dask:"):
        try:
            client = Client(name, timeout=PATIENCE_SECONDS)
        except OSError as error:
            raise EnvironmentProblem(f"--engine {name}: no scheduler answers there ({error})") from None
        with client:
            yield DaskEngine(client)
        return
    count = name.removeprefix("dask:")
    if not count.isdigit() or not 1 <= int(count) <= 256:
        raise RecipeError(f"--engine {name}: found {count!r} processes; give 1 to 256, as in dask:2")
    bound = memory or "auto"
    try:
        cluster = LocalCluster(
            n_workers=int(count), threads_per_worker=1, memory_limit=bound, dashboard_address=":0", silence_logs=50
        )
    except ValueError as error:
        raise RecipeError(f"--worker-memory {memory}: {error}; give an amount such as 4GB") from None
    with cluster, Client(cluster) as client:
        yield DaskEngine(client)
