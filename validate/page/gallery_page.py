"""The page of a gallery: what bundles make, each with its verdict, its size and, where it was measured, its time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exporter.errors import RecipeError
from exporter.manifest import bundle_digest
from validate.bench.latency import latency
from validate.ladder.words import size
from validate.page.gallery_objects import TRIANGLES, Gallery, judged
from validate.page.report_page import tiles, verdict
from validate.page.templating import render

# It lies in a repository, and telephones open it.
MOST_BYTES = 3_000_000


def gallery_page(galleries: Sequence[Gallery], benches: Sequence[dict[str, Any] | None]) -> bytes:
    """One file that loads nothing else. `benches`: for each bundle what `t3export bench --json` printed, or None.

    Raises RecipeError where it would be larger than MOST_BYTES.
    """
    parts = [_part(gallery, bench) for gallery, bench in zip(galleries, benches, strict=True)]
    page = render(
        "gallery.html", script="viewer.js", title="t3export: the gallery", parts=parts, triangles=f"{TRIANGLES:,}"
    ).encode()
    if len(page) > MOST_BYTES:
        raise RecipeError(
            f"the gallery would take {size(len(page))}, more than the {size(MOST_BYTES)} it may; give fewer bundles or "
            "a smaller --objects"
        )
    return page


def _part(gallery: Gallery, bench: dict[str, Any] | None) -> dict[str, Any]:
    manifest, report = gallery.manifest, gallery.report
    timed = latency(manifest, bench)
    rungs = {rung["name"]: rung for rung in report["rungs"]}
    return {
        "name": manifest.name,
        "description": manifest.recipe.get("description", ""),
        "weights": f"{manifest.weights.source}, bundle {bundle_digest(manifest)[:12]}",
        "verdict": verdict(report, manifest),
        "tiles": [*_recognised(report), *tiles(manifest, rungs, timed["tile"])],
        "machine": timed["told"] if timed["tile"] else "",
        "objects": gallery.objects,
    }


def _recognised(report: dict[str, Any]) -> list[dict[str, str]]:
    """How good the model is at all: how often its judge picks an object's own caption."""
    rows = judged(report)
    if not rows:
        return []
    hits = sum(row["bundle"]["rank"] == 1 for row in rows)
    captions = next(rung["details"]["captions"] for rung in report["rungs"] if rung["name"] == "quality")
    told = f"by the judge, who chooses among {captions:,} captions"
    return [{"name": "Objects recognised", "value": f"{hits} of {len(rows)}", "told": told}]
