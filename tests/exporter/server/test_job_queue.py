"""One job after another, as many as may wait, none of those that nobody wants."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import CancelledError

import pytest

from exporter.server.job_queue import JobCancelled, JobQueue, QueueFull

SOON = 30


@pytest.fixture
def queue():
    queue = JobQueue(most_waiting=2)
    yield queue
    queue.close()


class Work:
    """Reports until it may end."""

    def __init__(self):
        self.begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self, report):
        report("sampling", 0, 2)
        self.begun.set()
        while not self.may_end.wait(0.001):
            report("sampling", 1, 2)
        return "made"


def begun(queue):
    work = Work()
    job = queue.submit(work)
    assert work.begun.wait(SOON)
    return work, job


def test_jobs_are_run_in_the_order_they_came(queue):
    order = []
    work, first = begun(queue)
    others = [queue.submit(lambda report, one=one: order.append(one)) for one in "ab"]
    assert [queue.ahead_of(job) for job in (first, *others)] == [0, 1, 2] and queue.waiting == 2
    work.may_end.set()
    assert first.future.result(SOON) == "made"
    for job in others:
        job.future.result(SOON)
    assert order == ["a", "b"] and queue.done == 3 and first.progress is not None


def test_more_than_may_wait_are_refused_and_room_is_made_again(queue):
    work, _ = begun(queue)
    waiting = [queue.submit(lambda report: "made") for _ in range(2)]
    for ask in (queue.require_room, lambda: queue.submit(lambda report: "made")):
        with pytest.raises(QueueFull, match="2 requests wait already; try again in 1 s"):
            ask()
    waiting[0].cancel()
    queue.submit(lambda report: "made")
    work.may_end.set()


def test_a_job_that_is_cancelled_ends_at_its_next_report(queue):
    _, job = begun(queue)
    job.cancel()
    with pytest.raises(JobCancelled):
        job.future.result(SOON)
    assert queue.submit(lambda report: "made").future.result(SOON) == "made"


def test_a_job_that_is_cancelled_while_it_waits_is_never_begun(queue):
    work, _ = begun(queue)
    ran = []
    job = queue.submit(lambda report: ran.append(1))
    job.cancel()
    assert job.future.cancelled() and queue.waiting == 0
    work.may_end.set()
    queue.submit(lambda report: None).future.result(SOON)
    assert ran == []


def test_a_job_that_is_cancelled_while_it_waits_lets_go_of_its_work(queue):
    begun(queue)
    work = Work()
    held = weakref.ref(work)
    job = queue.submit(work)
    del work
    assert held() is not None
    job.cancel()
    assert held() is None


def test_a_failure_ends_one_job_alone(queue):
    def fails(report):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        queue.submit(fails).future.result(SOON)
    assert queue.submit(lambda report: "made").future.result(SOON) == "made"


def test_closing_cancels_all():
    queue = JobQueue(most_waiting=2)
    _, first = begun(queue)
    second = queue.submit(lambda report: "made")
    queue.close()
    with pytest.raises(JobCancelled):
        first.future.result(SOON)
    with pytest.raises(CancelledError):
        second.future.result(SOON)
