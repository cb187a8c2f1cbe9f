"""Rung 6: does the bundle make what was asked as well as the reference does? Same prompts, same seeds, same judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from exporter.pipeline.assets import MeshAsset
from exporter.pipeline.pipeline import Pipeline
from exporter.runtime.run import Programs
from validate.judge.prompts import Prompt
from validate.judge.rprecision import Retrieval, RunComparison, compare_runs
from validate.judge.statistics import guessing_p, paired_bootstrap, permutation_test, wilson_interval
from validate.ladder.context import Context, QualityPlan
from validate.ladder.result import Figure, plain
from validate.ladder.rungs.rung import Outcome, Rung
from validate.ladder.words import between, loss_shown
from validate.objects.elsewhere import SideName
from validate.objects.judged import CaptionSet, UnderSpecified, measure_under_specified, retrieve_captions
from validate.objects.memory import ObjectMemory
from validate.objects.objects import Objects, Progress, make_objects

SMALL_SET = 160
GUESSED = 0.05
"""A reference whose hits guessing has as often as this is no better than chance."""
TIE_COSINE = 1e-3

Maker = Callable[[Sequence[Prompt], int], Objects]


@dataclass(frozen=True)
class Compared:
    """A mean of both sides and the 95 % interval of the paired difference, with the p-value of a test by name."""

    measure: str
    unit: str
    reference: float
    bundle: float
    low: float
    high: float
    p: float
    test: str
    reference_interval: tuple[float, float] | None = None
    bundle_interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class JudgedSide:
    """What one programs made, and what the judge said about it."""

    objects: Objects
    retrieval: Retrieval
    small: Retrieval | None
    open_ended: UnderSpecified | None


def run(context: Context) -> Outcome:
    """R-Precision of both sides with its paired difference; the measures of under-specified prompts beside it."""
    if reason := not_judged(context.pipeline):
        return Outcome(skipped=reason)
    plan = context.quality
    if plan is None:
        return Outcome(refused=context.quality_refusal)
    captions = CaptionSet.embed(plan.captions, plan.evaluator)
    reference, bundle = (
        _score(_maker(side, programs, plan, _labelled(context.progress, side), memory), plan, captions)
        for side, programs, memory in _sides(context, plan)
    )
    prompts = [plan.prompts[index].given for index in reference.objects.prompt]
    comparison = compare_runs(reference.retrieval.hits, bundle.retrieval.hits, groups=prompts)
    open_ended = _compare_open_ended(reference, bundle)
    figures = [
        *_drop(reference, bundle, comparison, plan),
        *_beyond_ties(context, reference, bundle, plan),
        *_rates("bundle", bundle, plan),
        *_rates("reference", reference, plan),
        *(_open_ended_figure(compared) for compared in open_ended),
    ]
    comparisons = [_compare_rates(reference, bundle, comparison), *open_ended]
    details = _details(plan, comparison, reference, bundle)
    details |= {"comparisons": [_plain(compared) for compared in comparisons]}
    return Outcome(figures, failed=_at_chance(reference.retrieval, plan), details=details)


def not_judged(pipeline: Pipeline) -> str:
    """Why the judge, who compares meshes with captions, has nothing to say of a pipeline; empty where it has."""
    if not (pipeline.texts or pipeline.pictures):
        return "the judge compares with captions of texts or pictures, and the pipeline takes neither"
    return "" if pipeline.asset(MeshAsset) else "the judge looks at meshes, and the pipeline makes none"


def _at_chance(reference: Retrieval, plan: QualityPlan) -> str:
    """Why nothing is proved by a reference that is no better than guessing; empty where it is better.

    Seeds of a prompt hit and miss together, so that prompts are counted, not objects.
    """
    prompts, captions = len(plan.prompts), len(plan.captions)
    p = guessing_p(int(reference.rate * prompts + 1e-9), prompts, 1 / captions)
    if p < GUESSED:
        return ""
    return (
        f"the reference itself is no better than chance ({100 * reference.rate:.1f} % right, {100 / captions:.1f} % by "
        f"guessing among {captions} captions, p = {p:.2g} on {prompts} prompts): what is compared says nothing. Give "
        "more prompts, another judge (--evaluator), or weights that make what they are asked for"
    )


def _plain(compared: Compared) -> dict[str, Any]:
    """As JSON data, which has no infinity."""
    return asdict(compared) | {"low": plain(compared.low), "high": plain(compared.high)}


def _sides(context: Context, plan: QualityPlan) -> list[tuple[SideName, Programs, ObjectMemory | None]]:
    return [("reference", plan.reference or context.reference, plan.memory), ("bundle", context.bundle, None)]


def _score(maker: Maker, plan: QualityPlan, captions: CaptionSet) -> JudgedSide:
    objects = maker(plan.prompts, plan.seeds)
    small, open_ended = None, None
    if _small_set(plan) < len(captions.prompts):
        small = retrieve_captions(objects, plan.prompts, captions.first(_small_set(plan)))
    if plan.under_specified:
        made = maker(plan.under_specified, plan.under_specified_seeds)
        open_ended = measure_under_specified(made, plan.under_specified, captions)
    return JudgedSide(objects, retrieve_captions(objects, plan.prompts, captions), small, open_ended)


def _maker(
    side: SideName, programs: Programs, plan: QualityPlan, progress: Progress | None, memory: ObjectMemory | None
) -> Maker:
    """Makes objects of prompts and seeds, or recalls them."""

    def make(prompts: Sequence[Prompt], seeds: int) -> Objects:
        given = [prompt.given for prompt in prompts]

        def anew() -> Objects:
            if plan.elsewhere:
                return plan.elsewhere.objects(side, given, seeds, plan.views, plan.batch, progress)
            return make_objects(
                programs,
                given,
                plan.evaluator,
                seeds=seeds,
                views=plan.views,
                batch=plan.batch,
                workers=plan.workers,
                progress=progress,
            )

        return memory.recall(prompts, seeds, plan.views, plan.evaluator.digest, anew) if memory else anew()

    return make


def _small_set(plan: QualityPlan) -> int:
    return max(SMALL_SET, len(plan.prompts))


def _drop(reference: JudgedSide, bundle: JudgedSide, comparison: RunComparison, plan: QualityPlan) -> list[Figure]:
    rates = [100 * side.retrieval.rate for side in (reference, bundle)]
    limit, where = plan.max_drop_points, f"{plan.against}from {rates[0]:.1f} to {rates[1]:.1f} %, {_paired(comparison)}"
    return [
        Figure("bundle", "R-Precision", "drop", rates[0] - rates[1], "points", limit, "at most", where),
        Figure("bundle", "R-Precision", "McNemar p", comparison.p_value),
    ]


def _paired(comparison: RunComparison) -> str:
    low, high = (100 * value for value in (comparison.difference.low, comparison.difference.high))
    return (
        f"paired difference {between(low, high, '+.1f')} points (95 %), McNemar p = {comparison.p_value:.3g}; "
        f"{loss_shown(comparison.pairs, _smallest(comparison))}"
    )


def _smallest(comparison: RunComparison) -> float | None:
    """In points."""
    return None if comparison.smallest_loss_shown is None else 100 * comparison.smallest_loss_shown


def _beyond_ties(context: Context, reference: JudgedSide, bundle: JudgedSide, plan: QualityPlan) -> list[Figure]:
    """A full-precision bundle must hit and miss with its own reference but where the judge sees a tie."""
    differ = reference.retrieval.hits != bundle.retrieval.hits
    margins = np.maximum(np.abs(reference.retrieval.margin), np.abs(bundle.retrieval.margin))
    exact = not plan.against and all(stage.precision == "fp32" for stage in context.stages.values())
    count = int((differ & (margins > TIE_COSINE)).sum())
    return [Figure("bundle", "hits", "that differ beyond ties", count, "", 0.0 if exact else None, "at most")]


def _rates(label: str, side: JudgedSide, plan: QualityPlan) -> list[Figure]:
    figures = []
    for retrieval, size in ((side.retrieval, len(plan.captions)), (side.small, _small_set(plan))):
        if retrieval is None:
            continue
        interval = retrieval.interval
        where = f"among {size} captions, 95 % interval {100 * interval.low:.1f} to {100 * interval.high:.1f}"
        figures.append(Figure(label, "R-Precision", "rate", 100 * retrieval.rate, "%", where=where))
    figures.append(Figure(label, "R-Precision", "mean cosine", float(side.retrieval.cosine.mean())))
    figures.append(Figure(label, "R-Precision", "mean margin", float(side.retrieval.margin.mean())))
    figures.append(Figure(label, "objects", "without a surface", float(side.objects.empty.sum())))
    return figures


def _compare_rates(reference: JudgedSide, bundle: JudgedSide, comparison: RunComparison) -> Compared:
    before, after = (side.retrieval.interval for side in (reference, bundle))
    return Compared(
        measure="R-Precision",
        unit="%",
        reference=100 * reference.retrieval.rate,
        bundle=100 * bundle.retrieval.rate,
        low=100 * comparison.difference.low,
        high=100 * comparison.difference.high,
        p=comparison.p_value,
        test="McNemar, exact",
        reference_interval=(100 * before.low, 100 * before.high),
        bundle_interval=(100 * after.low, 100 * after.high),
    )


def _compare_open_ended(reference: JudgedSide, bundle: JudgedSide) -> list[Compared]:
    if reference.open_ended is None or bundle.open_ended is None:
        return []
    compared = []
    prompts = [int(index) for index in reference.open_ended.prompt]
    for measure in ("diversity", "sharpness", "best_cosine", "consistent"):
        values = [np.asarray(getattr(side.open_ended, measure), dtype=float) for side in (reference, bundle)]
        if not values[0].size:
            continue
        groups = prompts if measure != "diversity" else None
        difference = paired_bootstrap(*values, groups=groups)
        name, (before, after) = measure.replace("_", " "), (float(value.mean()) for value in values)
        p = permutation_test(*values, groups=groups)
        compared.append(Compared(name, "", before, after, difference.low, difference.high, p, "permutation"))
    return compared


def _open_ended_figure(compared: Compared) -> Figure:
    where = (
        f"reference {compared.reference:.4g}, paired difference {between(compared.low, compared.high)} (95 %), "
        f"{compared.test} p = {compared.p:.3g}"
    )
    return Figure("bundle", "under-specified prompts", compared.measure, compared.bundle, where=where)


def _details(plan: QualityPlan, comparison: RunComparison, reference: JudgedSide, bundle: JudgedSide) -> dict[str, Any]:
    return {
        "evaluator": {"name": plan.evaluator.name, "digest": plan.evaluator.digest},
        "views": {**asdict(plan.views), "text": str(plan.views)},
        "prompts": len(plan.prompts),
        "seeds": plan.seeds,
        "reference_from_cache": bool(plan.memory and plan.memory.recalled),
        "captions": len(plan.captions),
        "under_specified_prompts": len(plan.under_specified),
        "under_specified_seeds": plan.under_specified_seeds,
        "pairs": comparison.pairs,
        "smallest_loss_points": _smallest(comparison),
        "only_reference_hits": comparison.only_a,
        "only_bundle_hits": comparison.only_b,
        "mcnemar_p": comparison.p_value,
        "may_hide_points": 100 * wilson_interval(comparison.only_a, len(reference.objects.prompt)).high,
        "difference_points": {name: 100 * value for name, value in asdict(comparison.difference).items()},
        "objects": [_row(plan, index, reference, bundle) for index in range(len(reference.objects.prompt))],
    }


def _row(plan: QualityPlan, index: int, reference: JudgedSide, bundle: JudgedSide) -> dict[str, Any]:
    """One object: with prompt, or picture, and seed, `t3export run` makes it again."""
    prompt = plan.prompts[int(reference.objects.prompt[index])]
    row: dict[str, Any] = {"prompt": prompt.text, "seed": int(reference.objects.seed[index])}
    if prompt.picture:
        row["picture"] = prompt.picture.name
    for label, side in (("reference", reference), ("bundle", bundle)):
        row[label] = {
            "rank": int(side.retrieval.ranks[index]),
            "cosine": plain(round(float(side.retrieval.cosine[index]), 6)),
            "top": plan.captions[int(side.retrieval.top[index])].text,
            "empty": bool(side.objects.empty[index]),
        }
    return row


def _labelled(progress: Progress | None, label: str) -> Progress | None:
    return None if progress is None else lambda what, done, total: progress(f"{label} {what}", done, total)


RUNG = Rung("quality", "CLIP-R-Precision and under-specified prompts", run)
