"""One object after another, for as many clients as may wait."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from exporter.errors import T3Error
from exporter.runtime.generating import OnProgress

Made = TypeVar("Made")


class QueueFull(T3Error):
    """No more can wait. `seconds`: about when there is room again."""

    def __init__(self, waiting: int, seconds: int) -> None:
        super().__init__(f"{waiting} requests wait already; try again in {seconds} s")
        self.seconds = seconds


class JobCancelled(T3Error):
    """Nobody waits for it any more."""


class Job(Generic[Made]):
    """Work that is waiting, under way or done. `progress`: what is at work, how much is done, how much there is."""

    future: Future[Made]

    def __init__(self, work: Callable[[OnProgress], Made]) -> None:
        self.progress: tuple[str, int, int] | None = None
        self._work: Callable[[OnProgress], Made] | None = work
        self._cancelled = threading.Event()

    def run(self) -> Made:
        """Does the work, once."""
        work, self._work = self._work, None
        assert work is not None
        return work(self.report)

    def report(self, what: str, done: int, total: int) -> None:
        """Keeps how far it is. Raises JobCancelled where it was cancelled, which ends the work."""
        if self._cancelled.is_set():
            raise JobCancelled("cancelled")
        self.progress = (what, done, total)

    def cancel(self) -> None:
        """Takes it out of the queue, or ends it at its next report."""
        self._cancelled.set()
        if self.future.cancel():
            # The executor keeps the job until its turn, and the work may hold a picture of many MiB.
            self._work = None


class JobQueue(Generic[Made]):
    """Runs jobs in the order they came, one at a time: a bundle's programs take all processors as it is."""

    def __init__(self, most_waiting: int) -> None:
        self.most_waiting = most_waiting
        self.done = 0
        self._jobs: list[Job[Made]] = []
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="generate")
        self._seconds = 1.0

    @property
    def waiting(self) -> int:
        """Jobs behind the one that is under way."""
        return max(len(self._jobs) - 1, 0)

    @property
    def is_busy(self) -> bool:
        """Whether a job is under way."""
        return bool(self._jobs)

    def ahead_of(self, job: Job[Made]) -> int:
        """Jobs that end before this one begins."""
        with self._lock:
            return self._jobs.index(job) if job in self._jobs else 0

    def require_room(self) -> None:
        """Raises QueueFull where as many wait as may."""
        if len(self._jobs) > self.most_waiting:
            raise QueueFull(self.most_waiting, math.ceil(self._seconds))

    def submit(self, work: Callable[[OnProgress], Made]) -> Job[Made]:
        """A job that is run in its turn. Raises QueueFull."""
        job = Job(work)
        with self._lock:
            self.require_room()
            job.future = self._worker.submit(self._run, job)
            self._jobs.append(job)
        job.future.add_done_callback(lambda _: self._forget(job))
        return job

    def close(self) -> None:
        """Cancels all jobs and waits until none is under way."""
        with self._lock:
            jobs = list(self._jobs)
        for job in jobs:
            job.cancel()
        self._worker.shutdown(wait=True)

    def _run(self, job: Job[Made]) -> Made:
        started = time.monotonic()
        made = job.run()
        self._seconds = 0.8 * self._seconds + 0.2 * (time.monotonic() - started)
        self.done += 1
        return made

    def _forget(self, job: Job[Made]) -> None:
        with self._lock:
            self._jobs.remove(job)
