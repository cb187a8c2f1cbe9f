"""What changed between two bundles: what they are made of, what they store, how fast they are and what they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from exporter.errors import BundleError
from exporter.manifest import MEASURED, FilePart, Manifest, bundle_digest, require_whole
from validate.bench.two_bundles import speed_rows
from validate.judge.rprecision import compare_runs
from validate.judge.statistics import paired_bootstrap
from validate.ladder.report import read_report
from validate.ladder.words import as_number, show, size, turned

# Parts of a recipe or target that say what it is called, what is known of it and how it is judged, not what it makes.
TOLD_ONLY = (
    "name", "description", "validation.*", "goldens.*", "quantization.saves", "*.why",
    "status", "why_planned", "precisions", "refused.*", "measured.*", "left_out.*", "needs.*", "stand_in",
)  # fmt: skip
SHORT = 16


@dataclass(frozen=True)
class Change:
    """One thing that differs. `matters`: whether the bundles can behave differently for it."""

    section: str
    what: str
    a: str
    b: str
    matters: bool = True


@dataclass(frozen=True)
class QualityChange:
    """R-Precision of both bundles on the objects that both made: B less A in points, 95 % interval, McNemar's p.

    `smallest_loss`: in points, the smallest that n objects can show; none where they can show none.
    """

    objects: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    only_a: int
    only_b: int
    smallest_loss: float | None
    cosine_difference: float
    cosine_low: float
    cosine_high: float


@dataclass(frozen=True)
class Diff:
    """All changes. `quality` is none where the reports cannot be paired; `quality_left_out` says why.

    `speed_told`: how the times were taken, or why there are none.
    """

    a: str
    b: str
    changes: tuple[Change, ...]
    quality: QualityChange | None
    quality_left_out: str
    speed_told: str

    @property
    def differ(self) -> bool:
        """Whether anything differs that matters."""
        return any(change.matters for change in self.changes)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"differ": self.differ}


def diff_bundles(a: Path, b: Path, bench: dict[str, Any] | None = None) -> Diff:
    """Compare two bundles, each whole.

    `bench`: what `t3export bench A B --compare --json` printed. Raises BundleError for a damaged bundle, or a bench
    that did not time two bundles.
    """
    first, second = require_whole(a), require_whole(b)
    reports = _report(a, first), _report(b, second)
    quality, left_out = _quality(*reports)
    rows, told = speed_rows((a, first), (b, second), bench)
    speeds = [Change("speed", *row, matters=False) for row in rows if row[1] != row[2]]
    changes = [*_made_of(first, second), *_stored(first, second), *_rungs(*reports), *speeds]
    return Diff(str(a), str(b), tuple(changes), quality, left_out, told)


def _made_of(a: Manifest, b: Manifest) -> Iterator[Change]:
    yield from _changes("recipe", a.recipe, b.recipe)
    yield from _changes("weights", {"digest": a.weights.digest}, {"digest": b.weights.digest})
    yield from _changes("target", a.target, b.target)
    layers = [{name: p for stage in m.stages.values() for name, p in stage.layers.items()} for m in (a, b)]
    yield from _changes("policy", *layers, absent="fp32")
    yield from _changes("toolchain", a.toolchain, b.toolchain, matters=False)


def _stored(a: Manifest, b: Manifest) -> Iterator[Change]:
    for name in _names(a.files, b.files):
        mine, other = a.files.get(name), b.files.get(name)
        if mine != other:
            evidence = name in MEASURED or any(name in golden for m in (a, b) for golden in m.goldens.values())
            yield Change("files", name, _digest(mine), _digest(other), matters=not evidence)
    for name in _names(a.stages, b.stages):
        sizes = [m.stages[name].size if name in m.stages else 0 for m in (a, b)]
        if sizes[0] != sizes[1]:
            yield Change("size", name, size(sizes[0]), _grown(*sizes), matters=False)
    totals = [sum(part.size for part in m.files.values()) for m in (a, b)]
    if totals[0] != totals[1]:
        yield Change("size", "whole bundle", size(totals[0]), _grown(*totals), matters=False)


def _digest(part: FilePart | None) -> str:
    return part.sha256[:SHORT] if part else "–"


def _grown(before: int, after: int) -> str:
    return size(after) + (f" ({100 * after / before:.0f} % of A)" if before else "")


def _rungs(a: dict[str, Any] | None, b: dict[str, Any] | None) -> Iterator[Change]:
    """The deciding figure of each rung, where both were validated and it differs."""
    if a is None or b is None:
        return
    rungs = [{rung["name"]: _worst(rung) for rung in report["rungs"]} for report in (a, b)]
    yield from _changes("ladder", *rungs, matters=False)


def _worst(rung: dict[str, Any]) -> str:
    worst = rung["worst"]
    if worst is None:
        return str(rung["status"])
    measure, value = turned(worst["measure"], worst["value"])
    return f"{rung['status']}: {measure} {show(value, worst['unit'])}"


def _report(folder: Path, manifest: Manifest) -> dict[str, Any] | None:
    """The report of this very bundle, where there is one."""
    try:
        report = read_report(folder)
    except BundleError:
        return None
    return report if report["bundle_digest"] == bundle_digest(manifest) else None


def _quality(a: dict[str, Any] | None, b: dict[str, Any] | None) -> tuple[QualityChange | None, str]:
    if a is None or b is None:
        return None, "not both bundles were validated as they are now"
    details = [_details(report) for report in (a, b)]
    if not all(details):
        return None, "not both validations measured quality"
    if (
        details[0]["evaluator"]["digest"] != details[1]["evaluator"]["digest"]
        or details[0]["views"] != details[1]["views"]
    ):
        return None, "the judges or their views differ"
    if details[0]["captions"] != details[1]["captions"]:
        return None, "the judges chose from caption sets of different sizes"
    made = [{(row["prompt"], row["seed"]): row["bundle"] for row in d["objects"]} for d in details]
    common = [key for key in made[0] if key in made[1]]
    if not common:
        return None, "no prompt and seed is in both"
    pairs = [(made[0][key], made[1][key]) for key in common]
    groups = [prompt for prompt, _ in common]
    hits = [np.array([_hit(pair[side]) for pair in pairs]) for side in (0, 1)]
    cosines = [np.array([as_number(pair[side]["cosine"]) for pair in pairs], float) for side in (0, 1)]
    compared, cosine = compare_runs(*hits, groups=groups), paired_bootstrap(*cosines, groups=groups)
    rates = [100 * float(side.mean()) for side in hits]
    difference = compared.difference
    return (
        QualityChange(
            objects=len(common),
            a=rates[0],
            b=rates[1],
            difference=rates[1] - rates[0],
            low=100 * difference.low,
            high=100 * difference.high,
            p=compared.p_value,
            only_a=compared.only_a,
            only_b=compared.only_b,
            smallest_loss=None if compared.smallest_loss_shown is None else 100 * compared.smallest_loss_shown,
            cosine_difference=cosine.mean,
            cosine_low=cosine.low,
            cosine_high=cosine.high,
        ),
        "",
    )


def _hit(made: dict[str, Any]) -> bool:
    return made["rank"] == 1 and not made["empty"]


def _details(report: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next((rung["details"] for rung in report["rungs"] if rung["name"] == "quality"), {})
    return found if "objects" in found else {}


def _changes(
    section: str, a: Mapping[str, Any], b: Mapping[str, Any], *, matters: bool = True, absent: str = "–"
) -> Iterator[Change]:
    mine, other = dict(_flat(a)), dict(_flat(b))
    for name in _names(mine, other):
        left, right = mine.get(name, absent), other.get(name, absent)
        if left != right:
            told_only = any(fnmatch(name, pattern) for pattern in TOLD_ONLY)
            yield Change(section, name, left, right, matters and not (told_only and section in ("recipe", "target")))


def _flat(data: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        elif isinstance(value, list) and value and all(isinstance(entry, Mapping) for entry in value):
            yield from _flat({str(place): entry for place, entry in enumerate(value)}, f"{above}{name}.")
        elif value is not None:
            yield f"{above}{name}", str(value)


def _names(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys([*a, *b]))
