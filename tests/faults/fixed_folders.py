"""Folders that cannot be renamed, replaced and rolled back, with a kill or a full disk at any moment."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from exporter.errors import EnvironmentProblem
from exporter.files.copying import copy_contents
from exporter.files.swap import exchange, recover, replacing
from exporter.manifest import bundle_digest, read_manifest
from tests.faults.builds import wrong_bundle
from tests.faults.children import (
    die_before,
    has_own_mounts,
    mount_again,
    mount_layers,
    own_mounts,
    run_child,
    small_disk,
)
from tests.faults.fault import Attempt, Fault
from tests.toy_bundle import write_toy_bundle

PAGE = 4096
ROOMY = 2**26
# About as many operations on files as the longest of these actions takes.
STEPS = 180
BLOWS = ("killed", "full", "")


def attempts(folder: Path, count: int, rng: random.Random) -> Iterator[Attempt]:
    if not has_own_mounts():
        raise EnvironmentProblem("this system gives no process mounts of its own: volumes cannot be played here")
    bundles = [write_toy_bundle(folder / f"toy-{steps}", steps=steps) for steps in (3, 4)]
    for number in range(count):
        kind = list(PLACES)[number % len(PLACES)]
        blow = rng.choice(BLOWS)
        action = rng.choice([_replace, _roll_back])
        here = folder / "here"
        attempt = partial(_attempt, here, kind, action, blow, bundles, rng.random())
        end = run_child(attempt, folder / "words")
        lost = end.lost or (end.words if end.code else "")
        shutil.rmtree(here, ignore_errors=True)
        yield Attempt(f"{kind}, {action.__name__.strip('_').replace('_', ' ')}{blow and f', {blow}'}", lost)


def _attempt(here: Path, kind: str, action: Callable[[Path, Path], None], blow: str, bundles: list[Path], at: float):
    """In a child with mounts of its own. Raises AssertionError where anything is lost."""
    own_mounts()
    here.mkdir()
    size = sum(-(-path.stat().st_size // PAGE) * PAGE + PAGE for path in bundles[0].rglob("*"))
    small_disk(here, int(size * (1.2 + 6 * at)) if blow == "full" else ROOMY)
    digests = [bundle_digest(read_manifest(bundle)) for bundle in bundles]
    out = PLACES[kind](here, bundles[0])
    with suppress(OSError):
        # A disk so full that there is not even room for the version that is to come is no loss.
        shutil.copytree(bundles[1], here / "before")
        step = int(STEPS * at) if blow == "killed" else 0
        end = run_child(partial(_dying, step, action, out, here / "before"), here.parent / "inner")
        assert end.code in (0, -signal.SIGKILL, EnvironmentProblem.exit_code), end.words
    recover(out)
    assert not (wrong := wrong_bundle(out, set(digests))), wrong
    if blow != "full":
        _replace(out, bundles[1])
        assert not (wrong := wrong_bundle(out, {digests[1]})), wrong
        assert kind != "link" or out.is_symlink(), "the link is gone"
        left = [path.name for path in (*out.iterdir(), *out.parent.iterdir()) if path.name.startswith(f".{out.name}.")]
        assert not left, f"left behind: {left}"


def _dying(step: int, action: Callable[[Path, Path], None], out: Path, before: Path) -> None:
    die_before(step)
    action(out, before)


def _replace(out: Path, new: Path) -> None:
    with replacing(out) as folder:
        copy_contents(new, folder)


def _roll_back(out: Path, before: Path) -> None:
    exchange(before, out)


def _volume(here: Path, bundle: Path) -> Path:
    out = here / "out"
    out.mkdir()
    small_disk(out, ROOMY)
    return shutil.copytree(bundle, out, dirs_exist_ok=True)


def _mounted_again(here: Path, bundle: Path) -> Path:
    out = here / "out"
    out.mkdir()
    mount_again(shutil.copytree(bundle, here / "there"), out)
    return out


def _layer(here: Path, bundle: Path) -> Path:
    for name in ("root", "scratch"):
        (here / name).mkdir()
    shutil.copytree(bundle, here / "lower/out")
    mount_layers(here / "root", here / "lower", here / "scratch")
    return here / "root/out"


def _link(here: Path, bundle: Path) -> Path:
    (here / "out").symlink_to(shutil.copytree(bundle, here / "there/out"))
    return here / "out"


PLACES = {"volume": _volume, "mounted again": _mounted_again, "layer": _layer, "link": _link}

FAULT = Fault(
    "fixed-folders",
    "replaces or rolls back a bundle where a volume is mounted, in a lower layer of a container or behind a link, and "
    "kills it or fills the disk at a random moment; the former bundle or the new one is in place when the next command "
    "has begun, links stay, and nothing else is left behind",
    600,
    attempts,
    sample=12,
)
