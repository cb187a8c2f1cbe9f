"""Two worker processes, one of them killed: the objects are those of this process, and no task is lost."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from exporter.errors import BundleError, EnvironmentProblem, RecipeError
from exporter.machine.torch_threads import one_torch_thread
from exporter.manifest import bundle_digest, read_manifest
from exporter.runtime.bundle import Bundle
from tests.toy_bundle import write_toy_bundle
from tests.validate.tiny_clip import write_clip
from validate.judge.clip import Evaluator
from validate.objects.elsewhere import ChunkTask, Elsewhere, JudgeFolder, SideFolder, make
from validate.objects.engine import TaskEngine
from validate.objects.objects import MadeChunk, Views, chunks_of, make_objects
from validate.objects.open_engine import open_engine

VIEWS = Views(grid=12, size=16)
PROMPTS = ["a red ball", "a blue ball", "a red box", "a green box", "a blue box"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_bundle(tmp_path_factory.mktemp("engine") / "bundle")


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("judge"))


@pytest.fixture(scope="module")
def two_workers() -> Iterator[TaskEngine]:
    with open_engine("dask:2", "2GB") as engine:
        yield engine


def side_of(folder: Path) -> SideFolder:
    return SideFolder(folder, bundle_digest(read_manifest(folder)), "bundle")


def judge_of(folder: Path) -> JudgeFolder:
    return JudgeFolder(folder, Evaluator.load(folder).digest)


def slow_square(task: tuple[Path, int]) -> tuple[int, int]:
    """Leaves a mark that it began, and takes long enough to be killed meanwhile."""
    folder, number = task
    (folder / f"{number}-{os.getpid()}-{time.time_ns()}").touch()
    time.sleep(0.3)
    return number, number**2


def fail(number: int) -> int:
    raise RecipeError(f"number {number} is wrong")


def test_objects_do_not_depend_on_where_they_are_made(two_workers, bundle, judge):
    # Dask's workers have one thread; more of them sum in another order.
    with one_torch_thread():
        here = make_objects(Bundle.open(bundle), PROMPTS, Evaluator.load(judge), seeds=2, views=VIEWS, batch=3)
    counted = []
    elsewhere = Elsewhere(two_workers, {"bundle": side_of(bundle)}, judge_of(judge))
    there = elsewhere.objects("bundle", PROMPTS, 2, VIEWS, 3, lambda what, done, total: counted.append((done, total)))
    for name in ("prompt", "seed", "embeddings", "empty", "sharpness"):
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name))
    assert counted[-1] == (10, 10) and len(counted) == 4


def test_a_worker_that_outlives_a_run_opens_the_bundle_that_is_meant(bundle, judge, tmp_path):
    """Within one process, as a worker of a scheduler is one."""
    chunk = chunks_of(PROMPTS[:1], 1, 1)[0]

    def made(side: SideFolder) -> MadeChunk:
        return make(ChunkTask(side, judge_of(judge), chunk, VIEWS))

    place = tmp_path / "bundle"
    shutil.copytree(bundle, place)
    first = side_of(place)
    made(first)
    shutil.rmtree(place)
    write_toy_bundle(place, steps=5)
    assert side_of(place) != first
    made(side_of(place))
    with pytest.raises(BundleError, match="another bundle lies there"):
        made(first)


def test_a_killed_worker_costs_only_the_task_that_it_had(two_workers, tmp_path):
    before = set(two_workers.client.run(os.getpid).values())
    victim = min(before)

    def kill_when_busy() -> None:
        while not list(tmp_path.glob(f"*-{victim}-*")):
            time.sleep(0.01)
        os.kill(victim, signal.SIGKILL)

    killer = threading.Thread(target=kill_when_busy)
    killer.start()
    found = dict(two_workers.map(slow_square, [(tmp_path, number) for number in range(10)]))
    killer.join()
    assert found == {number: number**2 for number in range(10)}
    begun = [path.name.split("-")[0] for path in tmp_path.iterdir()]
    assert len(begun) - len(set(begun)) <= 1, "only what the killed worker was doing is done again"


def test_an_error_of_a_task_is_raised_here(two_workers):
    with pytest.raises(RecipeError, match="number 3 is wrong"):
        list(two_workers.map(fail, [3]))


@pytest.mark.parametrize("name", ["ray", "dask:", "dask:0", "dask:many"])
def test_a_wrong_name_is_refused(name):
    with pytest.raises(RecipeError, match="--engine"), open_engine(name):
        pass


def test_a_wrong_bound_is_refused():
    with pytest.raises(RecipeError, match="--worker-memory"), open_engine("dask:1", "much"):
        pass


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch):
    from validate.objects import dask

    monkeypatch.setattr(dask, "PATIENCE_SECONDS", 1)
    with pytest.raises(EnvironmentProblem, match="no scheduler answers"), open_engine("tcp://127.0.0.1:9"):
        pass
