"""The charts of a validation: drift over timesteps, error by layer."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from exporter.pipeline.sampling import NEXT_SAMPLE, PREDICTION
from validate.ladder.words import as_number, show
from validate.page.plots import Limit, Plot, Series

NAN = float("nan")


def drift(rungs: dict[str, Any]) -> list[dict[str, Any]]:
    """How the error goes with the evaluations: each from the reference's own state, and free-running."""
    charts = []
    for stage, figures in _by_stage(rungs.get("steps", {}).get("figures", [])).items():
        charts.append({"plot": _teacher_forced(stage, figures), "told": _told_of_forced(figures)})
    for stage, points in _by_stage(rungs.get("latents", {}).get("details", {}).get("drift", [])).items():
        told = (
            "The bundle runs by itself from the same noise. Each value is that of the sample that goes into an "
            "evaluation, of all prompts together; the last one is that of the latents, and the limit holds for the "
            "latents of each prompt."
        )
        charts.append({"plot": _free_running(stage, points, rungs["latents"]), "told": told})
    return charts


def layers(errors: list[dict[str, Any]], left_out: str) -> dict[str, Any] | None:
    """One chart a stage: the signal left at each layer's output, one series a precision."""
    if not errors:
        return {"told": f"Not measured: {left_out}", "charts": []} if left_out else None
    stages = _by_stage(errors)
    told = (
        "Signal over noise at the output of each layer, in the order in which they run, with all the error that has "
        "come up to it, against the float program on recorded inputs. A layer's name shows when its mark is pointed "
        "at, and all are in the tables below."
    )
    exact = [stage for stage, own in stages.items() if not any(math.isfinite(_value(e["snr_db"])) for e in own)]
    if exact:
        told += f" Exact in every layer: {', '.join(exact)}."
    return {"told": told, "charts": [_stage(stage, own) for stage, own in stages.items() if stage not in exact]}


def _by_stage(entries: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    stages: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in entries:
        stages[entry["stage"]].append(entry)
    return dict(stages)


def _teacher_forced(stage: str, figures: list[dict[str, Any]]) -> Plot:
    series: list[Series] = []
    limits: list[Limit] = []
    for tensor in (PREDICTION, NEXT_SAMPLE):
        own = [f for f in figures if f["tensor"] == tensor and f["measure"] == "SNR"]
        places = range(len(own))
        values = [_value(figure["value"]) for figure in own]
        labels = [f"{figure['where']}: {show(figure['value'], 'dB')}" for figure in own]
        series.append(Series({PREDICTION: "guided prediction"}.get(tensor, "updated sample"), places, values, labels))
        if own and own[0]["limit"] is not None and not limits:
            whose = "guided prediction: " if _update_informs(figures) else ""
            limits.append(Limit(own[0]["limit"], f"{whose}at least {show(own[0]['limit'], 'dB')}"))
    return Plot(f"{stage} at each timestep", "evaluation", "SNR, dB (more is better)", series, limits)


def _told_of_forced(figures: list[dict[str, Any]]) -> str:
    told = "Each evaluation starts from the reference's state."
    if _update_informs(figures):
        told += (
            " The line is the limit of the guided prediction alone. Of a quantized sampler the updated sample decides "
            "nothing, for when steps are few an error grows in the update."
        )
    return told


def _update_informs(figures: list[dict[str, Any]]) -> bool:
    """Whether the updated sample has no limit of its own."""
    updates = [f for f in figures if f["tensor"] == NEXT_SAMPLE and f["measure"] == "SNR"]
    return bool(updates) and all(figure["limit"] is None for figure in updates)


def _free_running(stage: str, points: list[dict[str, Any]], rung: dict[str, Any]) -> Plot:
    places = [point["evaluation"] for point in points]
    values = [_value(point["relative_l2"]) for point in points]
    told = [*(f"evaluation {place}" for place in places[:-1]), "latents"]
    labels = [f"{what}: {show(value)}" for what, value in zip(told, values, strict=True)]
    worst = rung["worst"]
    limits = [Limit(worst["limit"], f"latents: at most {show(worst['limit'])}")] if worst and worst["limit"] else []
    series = [Series("sample", places, values, labels)]
    return Plot(
        f"{stage}, free-running", "evaluation", "relative L2 (less is better)", series, limits, logarithmic=True
    )


def _stage(stage: str, errors: list[dict[str, Any]]) -> dict[str, Any]:
    series = []
    exact = sum(not math.isfinite(_value(error["snr_db"])) for error in errors)
    told = f"{exact} of {len(errors)} layers are exact and have no mark." if exact else ""
    for precision in dict.fromkeys(error["precision"] for error in errors):
        own = [(place, error) for place, error in enumerate(errors) if error["precision"] == precision]
        own = [(place, error) for place, error in own if math.isfinite(_value(error["snr_db"]))]
        labels = [f"{error['layer']}: {show(error['snr_db'], 'dB')}" for _, error in own]
        values = [_value(error["snr_db"]) for _, error in own]
        if own:
            series.append(Series(precision, [place for place, _ in own], values, labels, joined=False))
    return {"plot": Plot(stage, "layer", "SNR, dB (more is better)", series), "told": told}


def _value(value: Any) -> float:
    number = as_number(value)
    return NAN if number is None else number
