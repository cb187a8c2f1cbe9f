"""Validating a bundle: open it, load the reference it was made from, plan the quality rung, climb."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from exporter.errors import T3Error
from exporter.files.cache import Cache
from exporter.machine.meter import Silent
from exporter.manifest import Manifest, bundle_digest
from exporter.pipeline.pipeline import Pipeline
from exporter.recipe.recipe import Recipe
from exporter.runtime.bundle import Bundle
from exporter.runtime.run import Programs
from exporter.targets.stand_in import stand_in
from exporter.targets.target import Target
from validate.judge.clip import SHIPPED_EVALUATOR, Evaluator
from validate.judge.wanted import wanted_objects
from validate.ladder.context import Context, QualityPlan
from validate.ladder.ladder import OnRung, choose_rungs, climb
from validate.ladder.no_reference import NoReference
from validate.ladder.report import Report
from validate.ladder.rungs.quality import not_judged
from validate.ladder.rungs.rung import Rung
from validate.objects.elsewhere import Elsewhere, JudgeFolder, SideFolder, SideName
from validate.objects.engine import TaskEngine
from validate.objects.exhibits import COUNT, Exhibit, make_exhibits
from validate.objects.memory import ObjectMemory, source_digest
from validate.objects.objects import Progress
from validate.objects.reference import as_compared, open_reference

UNDER_SPECIFIED_SEEDS = 4
RANDOM_REFUSAL = "the weights are random: quality is never claimed from them; build with trained weights to measure it"

OWN_PROMPTS = (
    "the shipped prompts are of the small model's world: give what these programs were made for, with a judge that "
    "knows it (--prompts FILE --evaluator FOLDER)"
)


@dataclass(frozen=True)
class Options:
    """What a person may choose. `None` takes the recipe's or the shipped default.

    `prompts` is a number of the shipped prompts or pictures, or a file; `weights` says where the reference's weights
    lie now; `stand_in` is the backend that runs the programs here in place of the target's own. `objects`: how many
    are made for people to look at, and `layers` whether the error at each layer is measured; both only with the whole
    ladder.
    """

    rungs: tuple[str, ...] = ()
    quality: bool = True
    prompts: int | Path | None = None
    clean_captions: bool = False
    seeds: int | None = None
    evaluator: Path | None = None
    weights: str | None = None
    stand_in: str | None = None
    workers: int = 0
    cache: bool = True
    objects: int = COUNT
    layers: bool = True

    def to_dict(self) -> dict[str, Any]:
        return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}


def validate_bundle(
    folder: Path,
    options: Options,
    *,
    on_rung: OnRung | None = None,
    progress: Progress | None = None,
    engine: TaskEngine | None = None,
) -> Report:
    """Climb the ladder with a bundle. Bad input raises before the first rung; a miss is in the report.

    `engine` makes the objects of the quality rung; its workers have to see the bundle's folder.

    Raises BundleError for a damaged bundle, WeightsError when the reference's weights are not those of the bundle,
    RecipeError, EvaluatorError or PromptsError for options that do not fit.
    """
    rungs = [rung for rung in choose_rungs(options.rungs) if options.quality or rung.name != "quality"]
    bundle = Bundle.open(folder, stand_in=options.stand_in)
    recipe = Recipe.model_validate(bundle.manifest.recipe)
    refusal = quality_refusal(bundle.manifest, options)
    plan = None
    if not refusal and any(rung.name == "quality" for rung in rungs):
        plan = plan_quality(recipe, bundle.pipeline, options)
    reference = _reference(bundle, recipe, options, rungs)
    if plan:
        plan = with_reference(plan, bundle, recipe, options)
    if plan and engine:
        plan = replace(plan, elsewhere=_elsewhere(engine, bundle, options, plan.evaluator))
    context = make_context(bundle, reference, recipe, plan, progress, refusal)
    results = climb(context, rungs, on_rung)
    manifest = bundle.manifest
    whole = not options.rungs
    layers, left_out = _layers(folder, options, progress) if whole and options.layers else ((), "not asked for")
    return Report(
        bundle=str(folder),
        bundle_digest=bundle_digest(manifest),
        recipe=recipe.name,
        recipe_digest=manifest.recipe_digest,
        weights=manifest.weights.model_dump(),
        target=str(manifest.target.get("name")),
        settings=options.to_dict(),
        rungs=tuple(results),
        stand_in=_what_ran(bundle),
        layers=layers,
        layers_left_out=left_out,
        exhibits=tuple(_exhibits(context, plan, options.objects)) if whole and plan else (),
    )


def quality_refusal(manifest: Manifest, options: Options) -> str:
    """Why nothing can be said of a bundle's quality; empty where something can."""
    if not manifest.weights.trained:
        return RANDOM_REFUSAL
    if reason := not_judged(manifest):
        return reason
    return OWN_PROMPTS if manifest.is_adopted and not isinstance(options.prompts, Path) else ""


def _layers(folder: Path, options: Options, progress: Progress | None) -> tuple[tuple[dict[str, Any], ...], str]:
    """The error by layer as data, or why there is none: it is a look inside, and decides nothing."""
    try:
        from validate.bisect.layers import layer_errors
        from validate.bisect.pair import Originals
    except ModuleNotFoundError as error:
        return (), f"this Python has no package '{error.name}'"
    try:
        originals = Originals.open(folder, Cache(), Silent(), options.weights)
        found = layer_errors(originals, partial(progress, "error by layer, in stages") if progress else _unheard)
    except T3Error as error:
        return (), str(error)
    return tuple(error.to_dict() for error in found), ""


def _unheard(done: int, total: int) -> None:
    """Where nobody asks how far it is."""


def _exhibits(context: Context, plan: QualityPlan, count: int) -> list[Exhibit]:
    if count == 0:
        return []
    return make_exhibits(context.reference, context.bundle, plan.prompts, count=count, progress=context.progress)


def _elsewhere(engine: TaskEngine, bundle: Bundle, options: Options, evaluator: Evaluator) -> Elsewhere:
    names: tuple[SideName, ...] = ("reference", "bundle")
    folder, digest = bundle.folder.absolute(), bundle_digest(bundle.manifest)
    sides = {name: SideFolder(folder, digest, name, options.stand_in, options.weights) for name in names}
    return Elsewhere(engine, sides, JudgeFolder((options.evaluator or SHIPPED_EVALUATOR).absolute(), evaluator.digest))


def _what_ran(bundle: Bundle) -> str | None:
    """What ran the programs here, where that was not the target itself."""
    if bundle.stand_in:
        return f"{bundle.stand_in} on this machine ran the bundle's programs, in place of the engines"
    return stand_in(Target.model_validate(bundle.manifest.target)) or None


def _reference(bundle: Bundle, recipe: Recipe, options: Options, rungs: Sequence[Rung]) -> Programs | NoReference:
    """The PyTorch model; on a machine without PyTorch, such as a Jetson, why the rungs that need it are left out.

    Raises ModuleNotFoundError where quality was asked for, or where no rung would be left.
    """
    try:
        return open_reference(bundle, recipe, options.weights)
    except ModuleNotFoundError as error:
        wants_quality = any(rung.name == "quality" for rung in rungs)
        if wants_quality or not any(rung.on_recordings for rung in rungs):
            raise
        return NoReference(
            f"needs the PyTorch model, and this Python has no package '{error.name}'; where the bundle was built: "
            f"t3export validate artifacts/{bundle.manifest.name}"
            + (" --on onnxruntime" if bundle.manifest.engines else "")
        )


def plan_quality(recipe: Recipe, pipeline: Pipeline, options: Options) -> QualityPlan:
    """Which objects the quality rung makes. Loads prompts and evaluator, so that a wrong path is told at once."""
    count = recipe.validation.prompts if options.prompts is None else options.prompts
    wanted = wanted_objects(pipeline, count, clean=options.clean_captions)
    return QualityPlan(
        prompts=wanted.prompts,
        captions=wanted.captions,
        seeds=options.seeds or recipe.validation.seeds,
        under_specified=wanted.under_specified,
        under_specified_seeds=max(UNDER_SPECIFIED_SEEDS, options.seeds or 0),
        evaluator=Evaluator.load(options.evaluator or SHIPPED_EVALUATOR),
        max_drop_points=recipe.validation.max_drop,
        workers=options.workers,
    )


def with_reference(plan: QualityPlan, bundle: Bundle, recipe: Recipe, options: Options) -> QualityPlan:
    """The plan with the reference that a recipe's quality is compared with, and its objects of former times.

    Raises WeightsError as `open_reference` does.
    """
    judged = recipe.validation
    others = [judged.sampler] if judged.sampler and not judged.samplers else list(judged.samplers.values())
    sampled = as_compared(recipe)
    reference = open_reference(bundle, sampled, options.weights)
    memory = reference_memory(bundle.manifest, sampled, reference) if options.cache else None
    told = " and ".join(f"{other.steps} {other.scheduler} steps" for other in others)
    against = f"against {told}: " if told else ""
    return replace(plan, reference=reference, against=against, memory=memory)


def make_context(
    bundle: Bundle,
    reference: Programs | NoReference,
    recipe: Recipe,
    plan: QualityPlan | None,
    progress: Progress | None,
    refusal: str = "",
) -> Context:
    """What the rungs need of an opened bundle; `refusal`: why there is no plan for its quality."""
    manifest = bundle.manifest
    return Context(
        bundle=bundle,
        reference=reference,
        stages=manifest.stages,
        goldens={stage: [bundle.folder / name for name in names] for stage, names in manifest.goldens.items()},
        tolerances={str(name): tolerances for name, tolerances in recipe.validation.tolerances.items()},
        prompts=recipe.goldens.prompts or [recipe.name],
        folder=bundle.folder,
        seed=recipe.goldens.seed,
        quality=plan,
        quality_refusal=refusal,
        progress=progress,
    )


def reference_memory(manifest: Manifest, recipe: Recipe, reference: Programs) -> ObjectMemory:
    """Where the reference's objects are kept: under its weights, sampler settings and source.

    Raises EnvironmentProblem where nothing can be kept.
    """
    family = inspect.getsourcefile(type(reference))
    identity = {
        "family": recipe.model.family,
        "weights": manifest.weights.digest,
        **recipe.sampler_data(exclude={"unroll"}),
        "source": source_digest(*([Path(family)] if family else [])),
    }
    cache = Cache()
    cache.require_writable()
    return ObjectMemory(cache, identity)
