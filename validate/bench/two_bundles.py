"""How fast two bundles are beside each other: by a benchmark that ran them in turns, else by what their builds saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from exporter.errors import BundleError
from exporter.manifest import PERF, Manifest
from validate.bench.latency import END_TO_END, NAMES

Row = tuple[str, str, str]
"""What was timed, and the times of A and of B."""
IN_TURNS = "`t3export bench A B --compare --json` times both in turns, and --bench shows it"


def speed_rows(
    a: tuple[Path, Manifest], b: tuple[Path, Manifest], bench: dict[str, Any] | None
) -> tuple[list[Row], str]:
    """The rows, and a sentence on how they were measured or why there are none.

    Raises BundleError for a bench that did not time two bundles.
    """
    if bench:
        return _of_bench(bench), "timed in turns, medians"
    engines = a[1].engines, b[1].engines
    if engines[0] and engines[1]:
        times = [{stage: engine.milliseconds for stage, engine in one.stages.items()} for one in engines if one]
        return _rows(*times), "medians of each engine, measured when it was built"
    return _at_the_build(a, b)


def _of_bench(bench: dict[str, Any]) -> list[Row]:
    sides = [side for side in bench["sides"] if side.get("kind") == "bundle" and side.get("p50")]
    if len(sides) != 2:
        raise BundleError(f"--bench: {len(sides)} bundles were timed; make it by `t3export bench A B --compare --json`")
    rows = []
    for what, middle in sides[0]["p50"].items():
        other = sides[1]["p50"].get(what)
        if middle is not None and other is not None:
            ratio = _ratio(middle, other) if what == END_TO_END else ""
            told = NAMES.get(what, what.replace("_", " "))
            rows.append((told, f"{1000 * middle:.4g} ms", f"{1000 * other:.4g} ms{ratio}"))
    return rows


def _at_the_build(a: tuple[Path, Manifest], b: tuple[Path, Manifest]) -> tuple[list[Row], str]:
    """The fastest runs of programs that differ; equal ones differ by what else the machine did."""
    seen = [_measured(folder) for folder, _ in (a, b)]
    if not all(seen):
        return [], f"not measured; {IN_TURNS}"
    pairs = [(one, other) for one in seen[0] for other in seen[1] if one["where"] == other["where"]]
    if not pairs:
        return [], f"measured on different machines, or with other versions; {IN_TURNS}"
    times = [{stage: figures["least"] for stage, figures in one["stages"].items()} for one in pairs[-1]]
    same = {stage for stage in times[0] if _digests(a[1], stage) == _digests(b[1], stage)}
    rows = _rows(*({stage: time for stage, time in one.items() if stage not in same} for one in times))
    return rows, f"the fastest run of each program that differs, measured when it was built, not in turns; {IN_TURNS}"


def _measured(folder: Path) -> list[dict[str, Any]]:
    """What perf.yaml tells of times, each with where it was measured."""
    path = folder / PERF
    found = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return [one for one in found.get("measured", []) if one.get("stages")]


def _digests(manifest: Manifest, stage: str) -> list[str]:
    part = manifest.stages.get(stage)
    return [manifest.files[file].sha256 for file in (part.program, *part.external_data)] if part else []


def _rows(a: dict[str, float], b: dict[str, float]) -> list[Row]:
    """Of milliseconds by stage."""
    return [
        (stage, f"{a[stage]:.4g} ms", f"{b[stage]:.4g} ms{_ratio(a[stage], b[stage])}") for stage in a if stage in b
    ]


def _ratio(a: float, b: float) -> str:
    return f" (x{a / b:.2f} as fast)"
