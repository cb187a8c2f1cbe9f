"""A report and a manifest to make pages of, hostile names included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from exporter.manifest import bundle_digest, read_manifest
from exporter.runtime.assets.mesh import Mesh, empty_mesh
from validate.ladder.report import Report
from validate.ladder.result import Figure, RungResult
from validate.objects.exhibits import Exhibit, MadeExhibit

HOSTILE = "<script>document.title='taken'</script> & \"a ball\""


def octahedron(color: tuple[float, float, float] = (0.9, 0.1, 0.1)) -> Mesh:
    """Eight triangles, outward, of one colour."""
    corners = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, -1, 0], [0, 0, -1]], np.float32) * 0.6
    x, y, z, left, front, low = range(6)
    faces = [[x, y, z], [y, left, z], [left, front, z], [front, x, z],
             [y, x, low], [left, y, low], [front, left, low], [x, front, low]]  # fmt: skip
    return Mesh(corners, np.array(faces, np.int32), np.tile(np.float32(color), (6, 1)))


def exhibits() -> list[Exhibit]:
    """A pair of models with renders, hostile in name, and one whose bundle's side has no surface."""
    render = np.full((8, 8, 3), 200, np.uint8)
    pair = Exhibit(HOSTILE, 0, MadeExhibit(octahedron(), render), MadeExhibit(octahedron((0.1, 0.1, 0.9)), render))
    return [pair, Exhibit("nothing", 1, MadeExhibit(octahedron(), None), MadeExhibit(empty_mesh(), None))]


def report_of(folder: Path, *, passed: bool = True, hits: tuple[int, ...] = (1, 1, 2)) -> Report:
    """A validation of a bundle with every part that a page shows. `hits`: ranks of the bundle's objects."""
    manifest = read_manifest(folder)
    snrs = [Figure("denoiser", "prediction", "SNR", 40.0 - i, "dB", 30.0, where=f"evaluation {i}") for i in range(12)]
    latents = Figure("denoiser", "latents", "relative L2", 0.01, "", 0.2, "at most", where=repr(HOSTILE))
    drop = Figure("bundle", "R-Precision", "drop", 1.0, "points", 2.0, "at most")
    return Report(
        bundle=str(folder),
        bundle_digest=bundle_digest(manifest),
        recipe=manifest.name,
        recipe_digest=manifest.recipe_digest,
        weights=manifest.weights.model_dump(),
        target="cpu",
        settings={},
        rungs=(
            RungResult("steps", "each timestep", tuple(snrs), "passed" if passed else "failed"),
            RungResult("latents", "free-running", (latents,), details={"drift": _drift()}),
            RungResult("renders", "pictures", status="skipped", reason="the bundle has no renderer stage"),
            RungResult("quality", "R-Precision", (drop,), details=_quality(hits)),
        ),
        layers=tuple(_layer(i, precision) for i, precision in enumerate(["fp32", "int8", "int8"])),
        exhibits=tuple(exhibits()),
    )


def _drift() -> list[dict[str, Any]]:
    return [{"stage": "denoiser", "evaluation": i, "relative_l2": 10.0 ** (i / 4 - 6)} for i in range(12)]


def _layer(index: int, precision: str) -> dict[str, Any]:
    snr: float | str = "inf" if index == 0 else 50.0 - index
    return {"stage": "denoiser", "layer": f"denoiser/{index}", "tensor": f"t{index}", "precision": precision,
            "snr_db": snr, "golden": "denoiser_000.npz"}  # fmt: skip


def _quality(ranks: tuple[int, ...]) -> dict[str, Any]:
    rows = [
        {"prompt": HOSTILE if i == 0 else f"ball {i}", "seed": i, "reference": _made(1), "bundle": _made(rank)}
        for i, rank in enumerate(ranks)
    ]
    compared = {"measure": "R-Precision", "unit": "%", "reference": 100.0, "bundle": 66.7, "low": -66.0, "high": 0.0,
                "p": 1.0, "test": "McNemar, exact", "reference_interval": [43.8, 100.0],
                "bundle_interval": [20.8, 93.9]}  # fmt: skip
    return {
        "evaluator": {"name": "tiny", "digest": "d"}, "views": {"text": "four sides"}, "prompts": len(rows), "seeds": 1,
        "captions": 9, "under_specified_prompts": 0, "under_specified_seeds": 4, "only_reference_hits": 1,
        "only_bundle_hits": 0, "mcnemar_p": 1.0, "difference_points": {"mean": -33.3, "low": -66.0, "high": 0.0},
        "may_hide_points": 79.2, "comparisons": [compared], "objects": rows,
    }  # fmt: skip


def _made(rank: int) -> dict[str, Any]:
    return {"rank": rank, "cosine": 0.5 / rank, "top": "a cube", "empty": False}
