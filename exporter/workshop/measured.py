"""`perf.yaml` and `numerics.yaml` of a bundle: what it costs and how exact it is, and where each figure was measured.

`build` writes what can be known at the build machine, `finish` adds what the device tells. Both files are listed and
hashed like every file; the bundle's own digest leaves them out, since the same programs cost something else elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from exporter.files.atomic import write_atomically
from exporter.manifest import MEASURED, NUMERICS, PERF, Manifest, bundle_digest, file_parts, write_manifest

if TYPE_CHECKING:
    from exporter.workshop.goldens import GoldenParity

Figures = dict[str, Any]
SCHEMA_VERSION = 1
_HEADS = {
    PERF: "# What this bundle costs: operators by precision, and times and memory with where they were measured.\n",
    NUMERICS: "# How exact this bundle is: every program checked against the goldens, with what ran it where.\n",
}


@dataclass(frozen=True)
class Measured:
    """One machine's figures.

    `where`: the machine and the versions that ran the programs there. `costs` and `parities`: by stage; empty where
    none were taken. `overall`: of the whole bundle, such as its peak memory.
    """

    where: dict[str, str]
    costs: dict[str, Figures] = field(default_factory=dict)
    parities: dict[str, Figures] = field(default_factory=dict)
    overall: Figures = field(default_factory=dict)


def held(parities: Sequence[GoldenParity]) -> dict[str, Figures]:
    """By stage: its precision, the SNR that the recipe wants, and the worst golden of every output."""
    found: dict[str, Figures] = {}
    for one in sorted(parities, key=lambda p: p.parity.snr_db):
        of_stage = {"precision": one.precision, "wanted_snr_db": round(one.limit_db, 2), "passed": True, "outputs": {}}
        stage = found.setdefault(one.stage, of_stage)
        stage["passed"] = stage["passed"] and one.passed
        figures = {"snr_db": _decibels(one.parity.snr_db), "relative_l2": one.parity.relative_l2}
        stage["outputs"].setdefault(one.tensor, figures | {"max_abs": one.parity.max_abs, "golden": one.golden})
    return {stage: found[stage] for stage in dict.fromkeys(one.stage for one in parities)}


def write_measured(
    folder: Path, manifest: Manifest, contents: Mapping[str, Figures], measured: Sequence[Measured], missing: str
) -> Manifest:
    """Write both files and name them in the manifest, which is written again; the manifest.

    `contents`: of each stage, what it is made of. `missing`: what is still to be measured, and how; empty where
    nothing is.
    """
    stages = {
        name: {"precision": stage.precision, "bytes": stage.size, **contents.get(name, {})}
        for name, stage in manifest.stages.items()
    }
    head = {"schema_version": SCHEMA_VERSION, "bundle": manifest.name, "digest": bundle_digest(manifest)}
    told = {"missing": missing} if missing else {}
    costs = [{"where": one.where, **one.overall, "stages": one.costs} for one in measured if one.costs]
    checks = [{"where": one.where, "stages": one.parities} for one in measured if one.parities]
    _write(folder, PERF, head | told | {"stages": stages, "measured": costs})
    _write(folder, NUMERICS, head | told | {"measured": checks})
    return _listed(folder, manifest)


def add_measured(folder: Path, manifest: Manifest, measured: Measured) -> Manifest:
    """Add a machine's figures to both files, in place of what the same machine told before; the new manifest."""
    for name, entry in (
        (PERF, {"where": measured.where, **measured.overall, "stages": measured.costs}),
        (NUMERICS, {"where": measured.where, "stages": measured.parities}),
    ):
        data = read_measured(folder, name)
        data.pop("missing", None)
        others = [one for one in data.get("measured", []) if one["where"] != measured.where]
        _write(folder, name, data | {"digest": bundle_digest(manifest), "measured": [*others, entry]})
    return _listed(folder, manifest)


def read_measured(folder: Path, name: str) -> Figures:
    """`perf.yaml` or `numerics.yaml` as data; empty where an older t3export built the bundle."""
    path = folder / name
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}


def _listed(folder: Path, manifest: Manifest) -> Manifest:
    files = manifest.files | file_parts(folder, MEASURED)
    listed = manifest.model_copy(update={"files": dict(sorted(files.items()))})
    write_manifest(folder, listed)
    return listed


def _write(folder: Path, name: str, data: Figures) -> None:
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
    write_atomically(folder / name, (_HEADS[name] + text).encode())


def _decibels(value: float) -> float | str:
    return round(value, 2) if math.isfinite(value) else "exact" if value > 0 else "not finite"
