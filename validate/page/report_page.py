"""report.html: what a person has to see of a validation to believe it, the verdict first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from exporter.files.atomic import write_atomically
from exporter.manifest import REPORTS, Manifest, bundle_digest, read_manifest
from validate.bench.latency import latency, memory
from validate.ladder.report import PAGE_FILE, read_report
from validate.ladder.words import allowed, as_number, show, signed, size, turned
from validate.objects.exhibits import FILE as OBJECTS_FILE
from validate.objects.exhibits import GRID, Exhibit, load_exhibits
from validate.page import report_charts as charts
from validate.page.report_quality import Row, exhibit_part, loss_told, quality_part
from validate.page.templating import render

MARKS = {"passed": ("✓", "good"), "failed": ("✗", "bad"), "refused": ("⊘", "warn"), "skipped": ("–", "quiet")}


def write_page(folder: Path, path: Path | None = None, bench: dict[str, Any] | None = None) -> Path:
    """Write the page of a bundle's last validation, into its reports unless a path is given; where it was written.

    `bench`: what `t3export bench --json` gave. Raises BundleError for a bundle that was not validated yet.
    """
    path = path or folder / REPORTS / PAGE_FILE
    report, exhibits = read_report(folder), load_exhibits(folder / REPORTS / OBJECTS_FILE)
    write_atomically(path, report_page(report, read_manifest(folder), exhibits, bench).encode())
    return path


def report_page(
    report: dict[str, Any], manifest: Manifest, exhibits: Sequence[Exhibit], bench: dict[str, Any] | None = None
) -> str:
    """The whole page. `report` as `Report.to_dict` gives it."""
    rungs = {rung["name"]: rung for rung in report["rungs"]}
    quality, timed = quality_part(rungs.get("quality", {})), latency(manifest, bench)
    return render(
        "report.html",
        script="viewer.js" if exhibits else "",
        title=f"{manifest.name}: {'passed' if report['passed'] else 'failed'}",
        report=report,
        verdict=verdict(report, manifest),
        compared_with=manifest.compared_with,
        remarks=_remarks(report, manifest, rungs),
        tiles=tiles(manifest, rungs, timed["tile"]),
        ladder=[_rung(rung) for rung in report["rungs"]],
        measured=[row for rung in report["rungs"] for row in _measured(rung)],
        quality=quality,
        drift=charts.drift(rungs),
        layers=charts.layers(report.get("layers", []), report.get("layers_left_out", "")),
        exhibits=[exhibit_part(exhibit, rungs.get("quality", {})) for exhibit in exhibits],
        rendered=any(exhibit.bundle.render is not None for exhibit in exhibits),
        grid=GRID,
        policy=_policy(report, manifest),
        sizes=_sizes(manifest),
        memory=memory(bench),
        latency=timed,
        provenance=_provenance(report, manifest),
        files=[(name, part.size, part.sha256) for name, part in sorted(manifest.files.items())],
    )


def verdict(report: dict[str, Any], manifest: Manifest) -> dict[str, str]:
    """The outcome in words, with its mark and the class of its colour."""
    failed = [rung for rung in report["rungs"] if rung["status"] == "failed"]
    climbed = sum(rung["status"] in ("passed", "failed") for rung in report["rungs"])
    if report["passed"]:
        why = f"All {climbed} rungs that were climbed keep their tolerances against {manifest.compared_with}."
        return {"tone": "good", "mark": "✓", "words": f"Passed: {manifest.name}", "why": why}
    why = "; ".join(f"{rung['name']}: {rung['summary']}" for rung in failed) or "No rung could be climbed."
    return {"tone": "bad", "mark": "✗", "words": f"Failed: {manifest.name}", "why": why}


def _remarks(report: dict[str, Any], manifest: Manifest, rungs: dict[str, Any]) -> list[str]:
    told = []
    if report["bundle_digest"] != bundle_digest(manifest):
        told.append("This report is about another build of this bundle: validate it again.")
    if not manifest.weights.trained:
        told.append("The weights are random: good for shapes, speed and parity only, never for quality.")
    if report.get("stand_in"):
        told.append(report["stand_in"] + ".")
    if "quality" not in rungs:
        told.append("Quality was not measured.")
    return told


def tiles(manifest: Manifest, rungs: dict[str, Any], timed: dict[str, str] | None) -> list[dict[str, str]]:
    """The figures that count, each with its name and what it is; `timed`: a figure from elsewhere, the last."""
    made = []
    details = rungs.get("quality", {}).get("details", {})
    if "difference_points" in details:
        mean = signed(details["difference_points"]["mean"])
        differing = details["only_reference_hits"] + details["only_bundle_hits"]
        told = f"{differing} of {len(details['objects'])} objects judged differently; {loss_told(details)}"
        made.append({"name": "R-Precision against the reference", "value": f"{mean} points", "told": told})
    for name, what in (("steps", "Sampler, worst timestep"), ("shape", "Shape, worst object")):
        if worst := rungs.get(name, {}).get("worst"):
            value = show(worst["value"], worst["unit"])
            told = f"{worst['measure']}, {_limit(worst)}"
            made.append({"name": what, "value": value, "told": told})
    programs = sum(stage.size for stage in manifest.stages.values())
    made.append({"name": "Programs on disk", "value": size(programs), "told": f"{len(manifest.stages)} programs"})
    return [*made, timed] if timed else made


def _rung(rung: dict[str, Any]) -> dict[str, str]:
    mark, tone = MARKS[rung["status"]]
    row = {"name": rung["name"], "title": rung["title"], "status": f"{mark} {rung['status']}", "tone": tone}
    worst = rung["worst"]
    if worst is None:
        return row | {"figure": "", "limit": "", "where": rung["reason"]}
    measure, value = turned(worst["measure"], worst["value"])
    figure = f"{measure} {show(value, worst['unit'])}"
    where = f"{worst['stage']} {worst['tensor']}" + (f", {worst['where']}" if worst["where"] else "")
    where = rung["reason"] or where
    return row | {"figure": figure, "limit": _limit(worst), "where": where}


def _limit(figure: dict[str, Any]) -> str:
    if figure["limit"] is None:
        return ""
    return allowed(figure["measure"], figure["value"], figure["sense"], show(figure["limit"], figure["unit"]))


def _measured(rung: dict[str, Any]) -> list[Row]:
    """One row for each tensor and measure: the worst of all times it was measured, and the median."""
    together = defaultdict(list)
    for figure in rung["figures"]:
        together[figure["stage"], figure["tensor"], figure["measure"]].append(figure)
    rows: list[Row] = []
    for (stage, tensor, measure), figures in together.items():
        first = figures[0]
        values = [value for figure in figures if (value := as_number(figure["value"])) is not None]
        least_is_worst = first["sense"] == "at least" or first["unit"] == "dB" or measure == "cosine"
        worst = (min if least_is_worst else max)(values) if len(values) == len(figures) else float("nan")
        middle = show(median(values), first["unit"]) if len(values) > 1 else ""
        measure, worst = turned(measure, worst)
        rows.append(
            (
                rung["name"],
                f"{stage} {tensor}",
                measure,
                show(worst, first["unit"]),
                middle,
                _limit(first),
                len(figures),
            )
        )
    return rows


def _policy(report: dict[str, Any], manifest: Manifest) -> dict[str, Any]:
    measured = {(one["stage"], one["layer"]): one for one in report.get("layers", [])}
    stages, layers = [], []
    for name, stage in manifest.stages.items():
        counts: defaultdict[str, int] = defaultdict(int)
        exact = [layer for own, layer in measured if own == name and layer not in stage.layers]
        for precision in (*stage.layers.values(), *("fp32" for _ in exact)):
            counts[precision] += 1
        told = ", ".join(f"{count} {precision}" for precision, count in counts.items()) or "all fp32"
        stages.append((name, told, size(stage.size)))
        order = [layer for own, layer in measured if own == name]
        names = dict.fromkeys([*order, *stage.layers])
        rows = [(layer, stage.layers.get(layer, "fp32"), _snr(measured.get((name, layer)))) for layer in names]
        if rows:
            layers.append((name, rows))
    rules = manifest.recipe.get("quantization", {}).get("rules", [])
    told_rules = [(r.get("layers", "*"), r.get("operator") or "any", r["precision"], r.get("why") or "") for r in rules]
    return {"stages": stages, "layers": layers, "rules": told_rules}


def _snr(found: dict[str, Any] | None) -> str:
    return "" if found is None else show(found["snr_db"], "dB")


def _sizes(manifest: Manifest) -> list[Row]:
    parts: defaultdict[str, list[int]] = defaultdict(list)
    for name, part in manifest.files.items():
        parts[name.split("/")[0]].append(part.size)
    total = sum(part.size for part in manifest.files.values())
    rows = [
        (part, len(sizes), size(sum(sizes)), f"{100 * sum(sizes) / total:.0f} %")
        for part, sizes in sorted(parts.items(), key=lambda entry: -sum(entry[1]))
    ]
    return [*rows, ("all", len(manifest.files), size(total), "100 %")]


def _provenance(report: dict[str, Any], manifest: Manifest) -> list[tuple[str, str]]:
    machine = report.get("machine", {})
    packages = {k: v for k, v in machine.get("packages", {}).items() if v}
    return [
        ("bundle", bundle_digest(manifest)),
        ("recipe", f"{manifest.recipe.get('name')} {manifest.recipe_digest}"),
        ("weights", f"{manifest.weights.source} {manifest.weights.digest}"),
        ("target", f"{manifest.target['name']}: {manifest.target.get('description', '')}"),
        ("sampler", _sampler(manifest)),
        ("built with", _versions(manifest.toolchain)),
        ("validated on", f"{machine.get('system', '')}, Python {machine.get('python', '')}"),
        ("validated with", _versions(packages)),
        ("ladder took", f"{report.get('seconds', 0):.0f} s"),
    ]


def _sampler(manifest: Manifest) -> str:
    return "; ".join(
        f"{stage}: {one.scheduler}, {one.steps} steps, {one.evaluations} evaluations, guidance {one.guidance_scale:g}"
        for stage, one in manifest.samplings.items()
    )


def _versions(packages: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(packages.items()))
