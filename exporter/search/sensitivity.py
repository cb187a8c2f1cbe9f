"""Measures what each layer loses and saves in each precision, alone: what a search chooses from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

from exporter.errors import RecipeError, ValidationFailed
from exporter.machine.meter import StepRecord, metered
from exporter.quantize.layers import Layer
from exporter.recipe.policy import Policy, Rule
from exporter.search.candidates import label, policy_of
from exporter.search.error_metric import measured_in
from exporter.search.latency import machine, time_product
from exporter.search.losses import Loss, Sensitivity
from exporter.search.workbench import Cost, Workbench

STEP = "sensitivity"
_FILE = "losses.json"


def measure(workbench: Workbench, candidates: Sequence[Rule]) -> Sensitivity:
    """Every layer in every candidate that its operator can have.

    A layer that was measured before comes from the cache, so that an interrupted run goes on where it was.
    Raises RecipeError without a candidate, and for a target whose layers cannot be timed here.
    """
    if not candidates:
        raise RecipeError(f"no candidate: target '{workbench.target.name}' has no precision but fp32 that is allowed")
    layers = {
        (stage, layer.name, layer.operator): layer for stage in workbench.stages for layer in workbench.layers[stage]
    }
    original = workbench.measure(Policy()).stored_bytes
    losses, milliseconds, records = [], 0.0, list[StepRecord]()
    with metered(STEP, workbench.progress, records):
        for done, ((stage, _, _), layer) in enumerate(layers.items(), start=1):
            costs = _costs(workbench, stage, layer, candidates)
            target = measured_in(workbench.pipeline, stage)
            taken, saved = _times(workbench, stage, layer, candidates)
            milliseconds += taken
            losses += [
                _loss(target, stage, layer, name, cost, original[stage], saved.get(name, 0.0))
                for name, cost in costs.items()
            ]
            workbench.progress.advanced(STEP, done, len(layers))
    return Sensitivity(
        recipe=workbench.recipe.name,
        weights=workbench.weights_digest,
        target=workbench.target.name,
        machine=machine(),
        prompts=len(workbench.prompts),
        stored_bytes=original,
        milliseconds=milliseconds,
        losses=losses,
    )


def _costs(workbench: Workbench, stage: str, layer: Layer, candidates: Sequence[Rule]) -> dict[str, Cost]:
    """By candidate label; measured or recalled."""
    calibration = workbench.recipe.quantization.calibration
    inputs = {
        "layer": layer.name,
        "operator": layer.operator,
        "candidates": [label(rule) for rule in candidates],
        "observer": calibration.model_dump(include={"observer", "grid", "percentile"}),
        "prompts": workbench.prompts,
        "session": workbench.target.session.model_dump(),
        "programs": workbench.key(stage),
    }
    entry, _ = workbench.cache.get(f"{STEP} {stage}", inputs, partial(_measure_layer, workbench, layer, candidates))
    known = json.loads((entry.folder / _FILE).read_text(encoding="utf-8"))
    return {name: Cost(**cost) for name, cost in known.items()}


def _measure_layer(workbench: Workbench, layer: Layer, candidates: Sequence[Rule], folder: Path) -> None:
    """Leaves out what the layer's operator cannot have, and what its weights or the target's backend do not take."""
    costs = {}
    for rule in candidates:
        if policy := policy_of(layer.name, layer.operator, rule):
            with suppress(ValidationFailed):
                costs[label(rule)] = asdict(workbench.measure(policy))
    (folder / _FILE).write_text(json.dumps(costs), encoding="utf-8")


def _times(
    workbench: Workbench, stage: str, layer: Layer, candidates: Sequence[Rule]
) -> tuple[float, dict[str, float]]:
    """Milliseconds of a layer for one object in fp32, and by candidate what is saved; nothing for a table."""
    if layer.operator != "linear":
        return 0.0, {}
    timing = time_product(workbench.product(stage, layer), candidates, workbench.target, workbench.cache)
    runs = workbench.runs(stage)
    return runs * timing.milliseconds, {name: runs * timing.saved(name) for name in timing.shares}


def _loss(target: str, stage: str, layer: Layer, candidate: str, cost: Cost, original: int, saved: float) -> Loss:
    return Loss(
        stage=stage,
        layer=layer.name,
        operator=layer.operator,
        candidate=candidate,
        measured_in=target,
        nsr=cost.noise[target],
        bytes_saved=original - cost.stored_bytes[stage],
        milliseconds_saved=saved,
    )
