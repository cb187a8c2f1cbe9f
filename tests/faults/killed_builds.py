"""Builds that are killed, or interrupted, at any moment."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from exporter.machine.torch_threads import one_torch_thread
from tests.faults.builds import ball_family, build_balls, wrong_bundle, wrong_cache
from tests.faults.children import run_child
from tests.faults.fault import Attempt, Fault

INTERRUPTED = 130
EVERY_THIRD = 3
WITH_CACHE = 0.4


def attempts(folder: Path, count: int, rng: random.Random) -> Iterator[Attempt]:
    """Two bundles take turns in one place, so that a build always has a former one to lose."""
    with ball_family(), one_torch_thread():
        digests = [build_balls(folder / f"plain-{steps}", folder / "plain", steps) for steps in (3, 4)]
        whole = run_child(partial(build_balls, folder / "timed", folder / "timed-cache"), folder / "words").seconds
        out, cache = folder / "out", folder / "cache"
        before = ""
        for number in range(count):
            steps, after_it = (3, 4)[number % 2], digests[number % 2]
            blow = signal.SIGINT if number % EVERY_THIRD == 0 else signal.SIGKILL
            known = rng.random() < 0.5
            if not known:
                shutil.rmtree(cache, ignore_errors=True)
            action = partial(build_balls, out, cache, steps)
            end = run_child(
                action, folder / "words", blow=blow, after=rng.uniform(0, whole * (WITH_CACHE if known else 1.0))
            )
            lost = wrong_bundle(out, {before, after_it}) or wrong_cache(cache)
            if end.code not in (0, -signal.SIGKILL, INTERRUPTED):
                lost = lost or f"ended with {end.code}: {end.words}"
            again = run_child(action, folder / "words")
            if again.code != 0:
                lost = lost or f"the next build failed: {again.words}"
            lost = lost or wrong_bundle(out, {after_it}) or left_behind(out)
            before = after_it
            yield Attempt(_case(blow, end.code), lost)


def _case(blow: int, code: int) -> str:
    name = "interrupted" if blow == signal.SIGINT else "killed"
    return f"{name} too late" if code == 0 else name


def left_behind(out: Path) -> str:
    """What a build has left beside its folder."""
    left = sorted(path.name for path in out.parent.glob(f".{out.name}.*"))
    return f"left behind: {', '.join(left)}" if left else ""


FAULT = Fault(
    "killed-builds",
    "kills or interrupts a build at a random moment; the former bundle or the new one is in place and whole, no entry "
    "of the cache is damaged, and the next build makes the same bundle and leaves nothing else behind",
    300,
    attempts,
    sample=3,
)
