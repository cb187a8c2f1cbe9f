"""The shape of a fault, and how one is run."""

from __future__ import annotations

import importlib
import pkgutil
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tests.faults

SHOWN_LOST = 20


@dataclass(frozen=True)
class Attempt:
    """One blow. `case`: the kind of thing that was hit; `lost`: what went wrong, empty where it was survived."""

    case: str
    lost: str = ""


Attempts = Callable[[Path, int, random.Random], Iterator[Attempt]]


@dataclass(frozen=True)
class Fault:
    """A loop of blows. `attempts(folder, count, rng)` yields `count` of them, working in an empty folder.

    `survived`: what is claimed of every attempt, to follow the word "every" or "each". `sample`: how many the ordinary
    tests make.
    """

    name: str
    survived: str
    count: int
    attempts: Attempts
    sample: int = 24


@dataclass
class Tally:
    """What came of a fault's attempts."""

    fault: Fault
    tried: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def total(self) -> int:
        return self.tried.total()

    def __str__(self) -> str:
        cases = ", ".join(f"{case} {count}" for case, count in sorted(self.tried.items()))
        head = f"{self.fault.name}: {self.total} attempts, {len(self.lost)} lost, {self.seconds:.0f} s ({cases})"
        return "\n".join([head, *(f"  LOST {line}" for line in self.lost[:SHOWN_LOST])])


def find_faults() -> dict[str, Fault]:
    """Every fault of this folder, by its name."""
    modules = [importlib.import_module(f"tests.faults.{m.name}") for m in pkgutil.iter_modules(tests.faults.__path__)]
    found = [module.FAULT for module in modules if hasattr(module, "FAULT")]
    return {fault.name: fault for fault in sorted(found, key=lambda fault: fault.name)}


def run_fault(
    fault: Fault,
    folder: Path,
    count: int | None = None,
    seed: int = 0,
    on_attempt: Callable[[Tally], None] = lambda tally: None,
) -> Tally:
    """Runs a fault; an error that escapes an attempt is its author's bug and is raised.

    `on_attempt(so_far)` is told after each.
    """
    tally, started = Tally(fault), time.perf_counter()
    for attempt in fault.attempts(folder, fault.count if count is None else count, random.Random(seed)):
        tally.tried[attempt.case] += 1
        if attempt.lost:
            tally.lost.append(f"{attempt.case}: {attempt.lost}")
        tally.seconds = time.perf_counter() - started
        on_attempt(tally)
    return tally
