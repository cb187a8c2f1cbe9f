"""The table of programs that somebody else exported: bundles of one export beside the float programs of all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from exporter.adopt.float_bundle import write_float_bundle
from exporter.errors import BundleError, RecipeError
from exporter.files.cache import Cache
from exporter.machine.meter import Progress
from exporter.machine.processor import usable_processors
from exporter.manifest import bundle_digest
from exporter.recipe.recipe import Recipe
from exporter.runtime.bundle import Bundle
from validate.objects.memory import source_digest
from validate.prove import plan_quality, quality_refusal, reference_memory
from validate.table.bench import Bench
from validate.table.judge import TableJudge
from validate.table.make import SOURCES, MeasuredRows, OnRow, TableSettings, described_settings, digest_of, judged_by
from validate.table.rows import BASELINE
from validate.table.table_result import Result, Table


def adopted_table(
    folders: list[Path], settings: TableSettings, folder: Path, *, cache: Cache, progress: Progress, on_row: OnRow
) -> Table:
    """Adopted bundles of the same float programs, measured beside these; the float programs' own bundle goes to
    `folder`. Quality is measured on prompts of one's own alone.

    Raises BundleError for bundles that are damaged, not adopted or of different float programs, RecipeError where a
    sampler hides its steps, EvaluatorError or PromptsError for wrong input.
    """
    bundles = [Bundle.open(one) for one in folders]
    first = bundles[0].manifest
    for one in bundles:
        _require_comparable(one, bundles[0])
    recipe = Recipe.model_validate(first.recipe)
    write_float_bundle(bundles[0].folder, first, folder / BASELINE)
    reference = Bundle.open(folder / BASELINE)
    options = judged_by(settings)
    plan = None if quality_refusal(first, options) else plan_quality(recipe, first, options)
    memory = reference_memory(first, recipe, reference)
    judge = TableJudge(plan, reference, memory, cache) if plan else None
    bench = Bench(recipe, reference, reference, judge, settings.threads or usable_processors(), progress)
    told = described_settings(bench, plan)
    identity: dict[str, Any] = {
        "original": memory.identity,
        "settings": told,
        "source": source_digest(*sorted(SOURCES)),
    }
    identity |= {"baseline": bundle_digest(reference.manifest), "prompts": digest_of(plan) if plan else ""}
    rows = MeasuredRows(bench, folder, cache, progress, identity)
    table = Table(recipe.name, first.weights.source, first.weights.trained, False, str(first.target["name"]), told)
    float_row = Result(BASELINE, "the float programs, ONNX Runtime", "baseline")
    others = [Result(one.folder.name, f"{one.manifest.name} in {one.folder}", "row") for one in bundles]
    wanted = list(zip([float_row, *others], [reference, *bundles], strict=True))
    for row, bundle in wanted:
        table.rows.append(rows.measured(row, bundle))
        on_row(table.rows[-1], len(table.rows), len(wanted))
    return table


def _require_comparable(bundle: Bundle, first: Bundle) -> None:
    if not bundle.manifest.is_adopted:
        raise BundleError(
            f"{bundle.folder}: t3export built it: give its recipe, and the table builds its rows from that"
        )
    if bundle.manifest.weights.digest != first.manifest.weights.digest:
        raise BundleError(f"{bundle.folder}: its float programs are not those of {first.folder}")
    for name, stage in bundle.manifest.stages.items():
        if stage.is_whole_sampler:
            raise RecipeError(f"{bundle.folder}: stage '{name}' hides its steps, which a table compares one by one")
