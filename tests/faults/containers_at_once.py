"""Two builds in two containers into one place with one cache: in each of them it is process number 1."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from exporter.errors import EnvironmentProblem
from exporter.machine.torch_threads import one_torch_thread
from tests.faults.builds import ball_family, build_balls, wrong_bundle, wrong_cache
from tests.faults.builds_at_once import build_both
from tests.faults.children import has_own_numbers, run_child
from tests.faults.fault import Attempt, Fault
from tests.faults.killed_builds import left_behind

KILLED_SHARE = 0.5


def attempts(folder: Path, count: int, rng: random.Random) -> Iterator[Attempt]:
    if not has_own_numbers():
        raise EnvironmentProblem("this system gives no process numbers of its own: containers cannot be played here")
    with ball_family(), one_torch_thread():
        digests = [build_balls(folder / f"plain-{steps}", folder / "plain", steps) for steps in (3, 4)]
        whole = run_child(partial(build_balls, folder / "timed", folder / "timed-cache"), folder / "words").seconds
        out, cache = folder / "out", folder / "cache"
        for _ in range(count):
            shutil.rmtree(cache, ignore_errors=True)
            killed_after = rng.uniform(0, 2 * whole) if rng.random() < KILLED_SHARE else None
            apart = rng.uniform(0, 0.5)
            first, second = build_both(folder, out, cache, (3, 4), apart, number_one=True, killed_after=killed_after)
            killed = killed_after is not None and first.code < 0
            failed = [end.lost or end.words for end in ([second] if killed else [first, second]) if end.code != 0]
            lost = "; ".join(failed) or wrong_bundle(out, set(digests)) or wrong_cache(cache)
            again = run_child(partial(build_balls, out, cache, 3), folder / "words", number_one=True)
            lost = lost or (again.words if again.code else wrong_bundle(out, {digests[0]}) or left_behind(out))
            yield Attempt("one was killed" if killed else "both ended", lost)


FAULT = Fault(
    "containers-at-once",
    "runs two builds, each as process 1 of a container, into the same folder with the same cache, and kills one of "
    "them now and then; the others end well, one whole bundle is in place, the next build leaves nothing else behind",
    30,
    attempts,
    sample=1,
)
