"""Latency and memory of a bundle, as far as `t3export bench --json` or a device's engines have measured them."""

from __future__ import annotations

from typing import Any

from exporter.errors import RecipeError
from exporter.manifest import Manifest
from validate.ladder.words import show, size

END_TO_END = "end_to_end"
NAMES = {END_TO_END: "end to end", "step": "one evaluation"}
NOT_MEASURED = (
    "Not measured. Latency depends on the machine: run `t3export bench --json` on the one that counts and give its "
    "file to `t3export report --bench`."
)


def latency(manifest: Manifest, bench: dict[str, Any] | None) -> dict[str, Any]:
    """Columns, rows and a sentence of the breakdown, and a tile for the head of the page where there is a figure."""
    if bench:
        return _of_bench(manifest, bench)
    if manifest.engines and manifest.engines.stages:
        rows = [(stage, f"{engine.milliseconds:.2f} ms") for stage, engine in manifest.engines.stages.items()]
        on = ", ".join(f"{name} {value}" for name, value in manifest.engines.device.items())
        told = f"Medians of one run of one object's inputs, measured when the engines were built on {on}."
        return {"columns": ["Engine", "Median"], "rows": rows, "told": told, "tile": None}
    return {"columns": [], "rows": [], "told": NOT_MEASURED, "tile": None}


def memory(bench: dict[str, Any] | None) -> list[str]:
    """Sentences on peak memory."""
    if not bench:
        return ["Peak memory was not measured: `t3export report --bench` takes the file of `t3export bench --json`."]
    return [
        f"{side['name']}: peak memory {size(side['fresh']['peak_bytes'])}, of a fresh process that made one object."
        for side in _measured(bench)
        if (side.get("fresh") or {}).get("peak_bytes")
    ]


def require_bench(data: Any, where: str) -> dict[str, Any]:
    """What `t3export bench --json` printed. Raises RecipeError for anything else."""
    sides = data.get("sides") if isinstance(data, dict) else None
    if not isinstance(sides, list) or not all(isinstance(side, dict) and "name" in side for side in sides):
        raise RecipeError(f"{where}: not what `t3export bench --json` prints: it has no list of sides")
    return {"machine": {}, **data}


def _of_bench(manifest: Manifest, bench: dict[str, Any]) -> dict[str, Any]:
    sides = _measured(bench)
    whats = list(dict.fromkeys(what for side in sides for what in side["p50"]))
    rows = [(NAMES.get(what, what.replace("_", " ")), *(_seconds(side, what) for side in sides)) for what in whats]
    machine = bench["machine"]
    parts = [str(machine[key]) for key in ("processor", "system") if key in machine]
    parts += [f"{machine['threads']} threads"] if "threads" in machine else []
    told = f"Medians with the 90th percentile, {', '.join(parts) or 'machine unknown'}. " + _ratios(sides)
    own = next((side for side in sides if side.get("kind") == "bundle"), None)
    tile = None
    if own and own["p50"].get(END_TO_END):
        value = show(own["p50"][END_TO_END], "s")
        tile = {"name": "End to end", "value": value, "told": f"median, {own['name']}"}
    return {"columns": ["Part", *(side["name"] for side in sides)], "rows": rows, "told": told, "tile": tile}


def _measured(bench: dict[str, Any]) -> list[dict[str, Any]]:
    return [side for side in bench["sides"] if not side.get("reason") and side.get("p50")]


def _seconds(side: dict[str, Any], what: str) -> str:
    middle, high = side["p50"].get(what), side.get("p90", {}).get(what)
    if middle is None:
        return "–"
    return f"{1000 * middle:.4g} ms" + (f" (p90 {1000 * high:.4g})" if high is not None else "")


def _ratios(sides: list[dict[str, Any]]) -> str:
    told = []
    for side in sides:
        for other, ratios in (side.get("times_as_fast_as") or {}).items():
            whole = ratios.get(END_TO_END) or {}
            if whole.get("ratio"):
                told.append(f"{side['name']} is {whole['ratio']:.2f} times as fast as {other}")
    return "; ".join(told) + ("." if told else "")
