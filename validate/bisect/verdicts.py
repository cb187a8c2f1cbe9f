"""Which stages of a bundle to search, on which recording, and how that ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from exporter.errors import RecipeError, did_you_mean
from exporter.manifest import REPORTS, Manifest
from exporter.pipeline.assets import ImageAsset, MeshAsset, PointsAsset
from exporter.pipeline.pipeline import Pipeline
from exporter.recipe.recipe import Recipe
from exporter.workshop.goldens import limit_db
from exporter.workshop.parity import compare
from validate.bisect.graphs import run
from validate.bisect.layers import read_golden
from validate.bisect.pair import Originals, ProgramPair
from validate.bisect.search import Culprit, Search
from validate.ladder.report import REPORT_FILE, read_report

Tell = Callable[[str], None]


@dataclass(frozen=True)
class BisectFinding:
    """How the search of one stage ended. `worst_db` of all recordings against the PyTorch reference; `golden`: the
    worst one; `float_db`: what the float program itself has there, measured only where the stage misses."""

    stage: str
    golden: str
    worst_db: float
    limit_db: float
    float_db: float | None = None
    culprit: Culprit | None = None

    @property
    def kept(self) -> bool:
        return self.worst_db >= self.limit_db

    @property
    def summary(self) -> str:
        """One line for people."""
        measured = f"{self.stage} on {self.golden}: {self.worst_db:.1f} dB, at least {self.limit_db:g} dB wanted"
        if self.kept:
            return measured
        if self.culprit:
            return f"{measured}; first broken at {self.culprit.tensor}"
        assert self.float_db is not None
        if self.float_db < self.limit_db:
            return (
                f"{measured}; the float program has {self.float_db:.1f} dB there itself, so the fault is older than "
                "quantization: look at the trace and at the family's stage"
            )
        return f"{measured}; against the float program it keeps that: search again with a higher --tolerance"


def failing_rung(folder: Path) -> str | None:
    """The first rung that the bundle's last report has failed; none without a report or a failure.

    Raises BundleError for a damaged report.
    """
    if not (folder / REPORTS / REPORT_FILE).is_file():
        return None
    return next((rung["name"] for rung in read_report(folder)["rungs"] if rung["status"] == "failed"), None)


def stages_to_search(manifest: Manifest, rung: str | None, stage: str | None) -> list[str]:
    """The stages that a rung depends on, or the one asked for. Raises RecipeError for a stage that is not there."""
    present = list(manifest.goldens)
    if stage is None:
        return [name for name in present if name in stages_of(manifest, rung)]
    if stage not in present:
        raise RecipeError(f"--stage: no stage {stage!r}; {did_you_mean(stage, present)}")
    return [stage]


def stages_of(pipeline: Pipeline, rung: str | None) -> list[str]:
    """The stages whose programs decide over a rung; all of them for none, or for one that asks of all."""
    samplers = pipeline.of_kind("sample")
    mesh, image, points = pipeline.asset(MeshAsset), pipeline.asset(ImageAsset), pipeline.asset(PointsAsset)
    tensors = [tensor for tensor in (points.positions, points.colors) if tensor] if points else []
    of_points = [name for tensor in tensors for name in pipeline.decoders_of(tensor)]
    deciding = {
        "steps": samplers,
        "latents": [name for sampler in samplers for name in (*pipeline.before(sampler), sampler)],
        "shape": [*(pipeline.decoders(mesh.stage) if mesh else []), *of_points],
        "renders": pipeline.decoders(image.stage) if image else [],
    }
    return deciding.get(rung or "", list(pipeline.stages))


def search(originals: Originals, stages: Sequence[str], tolerance_db: float | None, tell: Tell) -> list[BisectFinding]:
    """Look at stages in the order in which they run, up to the first that misses its tolerance."""
    findings = []
    for stage in stages:
        findings.append(_search(originals, stage, tolerance_db, tell))
        if not findings[-1].kept:
            break
    return findings


def _search(originals: Originals, stage: str, tolerance_db: float | None, tell: Tell) -> BisectFinding:
    manifest = originals.manifest
    tolerances = Recipe.model_validate(manifest.recipe).validation.tolerances[manifest.stages[stage].precision]
    limit = limit_db(manifest.stages[stage].is_whole_sampler, tolerances) if tolerance_db is None else tolerance_db
    tell(f"{stage}: the float program")
    pair = originals.pair(stage)
    goldens = [originals.folder / name for name in manifest.goldens[stage]]
    measured = {path: _worst(pair, path, original=False) for path in goldens}
    golden = min(measured, key=lambda path: measured[path])
    found = BisectFinding(stage, golden.name, measured[golden], limit)
    if found.kept:
        return found
    own = _worst(pair, golden, original=True)
    culprit = Search(pair, read_golden(golden), limit, tell).find() if own >= limit else None
    return BisectFinding(stage, golden.name, measured[golden], limit, own, culprit)


def _worst(pair: ProgramPair, path: Path, original: bool) -> float:
    golden = read_golden(path)
    found = run(pair.original if original else pair.bundle, golden, pair.outputs)
    return min(compare(golden[name], found[name]).snr_db for name in pair.outputs)
