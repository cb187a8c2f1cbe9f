"""Two containers that replace one folder and share one cache, over and over: in each the process is number 1."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from exporter.errors import EnvironmentProblem
from exporter.files.cache import Cache
from exporter.files.copying import copy_contents
from exporter.files.swap import recover, replacing
from exporter.manifest import bundle_digest, read_manifest
from tests.faults.builds import wrong_bundle, wrong_cache
from tests.faults.children import End, die_before, has_own_numbers, run_child
from tests.faults.fault import Attempt, Fault
from tests.faults.killed_builds import left_behind
from tests.toy_bundle import write_toy_bundle

ROUNDS = 8
STEPS = ("trace", "quantize", "compile")
# About as many operations on files as all rounds take.
OPERATIONS = 800
KILLED_SHARE = 0.5


def attempts(folder: Path, count: int, rng: random.Random) -> Iterator[Attempt]:
    if not has_own_numbers():
        raise EnvironmentProblem("this system gives no process numbers of its own: containers cannot be played here")
    bundles = [write_toy_bundle(folder / f"toy-{steps}", steps=steps) for steps in (3, 4)]
    digests = {bundle_digest(read_manifest(bundle)) for bundle in bundles}
    out, cache = folder / "out", folder / "cache"
    for _ in range(count):
        shutil.rmtree(cache, ignore_errors=True)
        dies_before = rng.randrange(1, OPERATIONS) if rng.random() < KILLED_SHARE else 0
        first, second = _both(folder, bundles, out, cache, dies_before)
        killed = bool(dies_before) and first.code != 0
        failed = [end.words or str(end) for end in ([second] if killed else [first, second]) if end.code != 0]
        recover(out)
        lost = "; ".join(failed) or wrong_bundle(out, digests) or wrong_cache(cache)
        _work(bundles, out, cache, 0)
        Cache(cache).prune()
        left = left_behind(out) or ", ".join(path.name for path in cache.glob(".*"))
        yield Attempt("one was killed" if killed else "both ended", lost or left)


def _both(folder: Path, bundles: list[Path], out: Path, cache: Path, dies_before: int) -> list[End]:
    ends = [End(0, "", 0.0)] * 2

    def one(number: int) -> None:
        action = partial(_work, bundles, out, cache, 0 if number else dies_before)
        ends[number] = run_child(action, folder / f"words-{number}", number_one=True)

    threads = [threading.Thread(target=one, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


def _work(bundles: list[Path], out: Path, cache: Path, dies_before: int) -> None:
    """What a build does with files: steps from the cache or into it, one of them thrown away, and its folder."""
    if dies_before:
        die_before(dies_before)
    for number in range(ROUNDS):
        with replacing(out) as folder:
            kept, _ = Cache(cache).get(STEPS[number % len(STEPS)], {}, partial(copy_contents, bundles[0]))
            with Cache.none(cache.parent) as none:
                thrown_away, _ = none.get("step", {}, partial(copy_contents, bundles[number % 2]))
                assert len(list(kept.folder.iterdir())) == len(list(thrown_away.folder.iterdir()))
                copy_contents(bundles[number % 2], folder)


FAULT = Fault(
    "containers-at-once",
    "lets process 1 of two containers replace the same folder and fill the same cache, and kills one of them now and "
    "then; the others end well, one whole bundle is in place, no entry of the cache is damaged, and the next process "
    "leaves nothing else behind",
    300,
    attempts,
    sample=6,
)
