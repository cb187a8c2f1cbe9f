"""Two builds into one place with one cache, begun a moment apart."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from exporter.machine.torch_threads import one_torch_thread
from tests.faults.builds import ball_family, build_balls, wrong_bundle, wrong_cache
from tests.faults.children import End, run_child
from tests.faults.fault import Attempt, Fault


def attempts(folder: Path, count: int, rng: random.Random) -> Iterator[Attempt]:
    with ball_family(), one_torch_thread():
        digests = {build_balls(folder / f"plain-{steps}", folder / "plain", steps) for steps in (3, 4)}
        out, cache = folder / "out", folder / "cache"
        for _ in range(count):
            shutil.rmtree(cache, ignore_errors=True)
            same = rng.random() < 0.5
            ends = _both(folder, out, cache, (3, 3) if same else (3, 4), rng.uniform(0, 0.5))
            failed = [end.lost or end.words for end in ends if end.code != 0]
            lost = "; ".join(failed) or wrong_bundle(out, digests) or wrong_cache(cache)
            yield Attempt("the same bundle" if same else "two bundles", lost)


def _both(folder: Path, out: Path, cache: Path, steps: tuple[int, int], apart: float) -> list[End]:
    ends: list[End] = []

    def one(number: int) -> None:
        action = partial(build_balls, out, cache, steps[number])
        ends.append(run_child(action, folder / f"words-{number}"))

    threads = [threading.Thread(target=one, args=(number,)) for number in (0, 1)]
    threads[0].start()
    time.sleep(apart)
    threads[1].start()
    for thread in threads:
        thread.join()
    return ends


FAULT = Fault(
    "builds-at-once",
    "runs two builds into the same folder with the same cache; both end well, and one whole bundle is in place",
    60,
    attempts,
    sample=2,
)
