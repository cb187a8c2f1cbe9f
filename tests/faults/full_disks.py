"""Builds on a disk that becomes full at any step, and into a folder that cannot be written."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from exporter.errors import EnvironmentProblem
from exporter.machine.torch_threads import one_torch_thread
from tests.faults.builds import ball_family, build_balls, wrong_bundle, wrong_cache
from tests.faults.children import has_own_mounts, make_read_only, own_mounts, run_child, small_disk
from tests.faults.fault import Attempt, Fault

PAGE = 4096
READ_ONLY_SHARE = 0.1


def attempts(folder: Path, count: int, rng: random.Random) -> Iterator[Attempt]:
    if not has_own_mounts():
        raise EnvironmentProblem("this system gives no process mounts of its own: small disks cannot be made here")
    with ball_family(), one_torch_thread():
        former = folder / "former"
        digests = {build_balls(former, folder / "plain", 3), build_balls(folder / "new", folder / "plain", 4)}
        needed = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        for _ in range(count):
            read_only = rng.random() < READ_ONLY_SHARE
            size = PAGE * rng.randrange(2 + _size(former) // PAGE, 2 + needed // PAGE)
            action = partial(_build_on_small_disk, folder / "disk", former, size, read_only, digests)
            end = run_child(action, folder / "words")
            lost = end.lost
            if end.code not in (0, EnvironmentProblem.exit_code):
                lost = lost or f"ended with {end.code}: {end.words}"
            yield Attempt("read-only" if read_only else "full" if end.code else "just large enough", lost)


def _build_on_small_disk(disk: Path, former: Path, size: int, read_only: bool, digests: set[str]) -> None:
    """In a child: raises what the build raises, or AssertionError where it left anything half done."""
    own_mounts()
    disk.mkdir(exist_ok=True)
    small_disk(disk, size)
    out, cache = disk / "out", disk / "cache"
    shutil.copytree(former, out)
    if read_only:
        make_read_only(disk)
    try:
        build_balls(out, cache, 4)
    finally:
        wrong = wrong_bundle(out, digests) or wrong_cache(cache)
        left = [path.name for path in disk.iterdir() if path.name not in ("out", "cache")]
        left += [path.name for path in cache.glob(".t3export.*")]
        assert not wrong and not left, wrong or f"left behind: {left}"


def _size(folder: Path) -> int:
    return sum(-(-path.stat().st_size // PAGE) * PAGE + PAGE for path in folder.rglob("*"))


FAULT = Fault(
    "full-disks",
    "builds on a disk that is too small by any amount, or read-only; the build says so, the former bundle stays whole, "
    "the cache has no damaged entry and nothing half-written is left",
    200,
    attempts,
    sample=4,
)
