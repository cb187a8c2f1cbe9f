"""What `t3export tune` tells of samplers and policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from t3export.output import megabytes, notes, results, table

if TYPE_CHECKING:
    from exporter.search.losses import Sensitivity
    from exporter.search.search import LayerChoice
    from validate.tune.samplers import Candidate, SamplerAttempt, SamplerSearch
    from validate.tune.trial import TrialVerdict
    from validate.tune.tune import Attempt, Tuning


def print_sampler(attempt: SamplerAttempt) -> None:
    """A sampler that was just tried, on stderr."""
    notes().print(f"{_sampler(attempt.candidate)}: {_colored(attempt.verdict)}")
    notes().print(f"  {escape(attempt.verdict.summary)}")


def _sampler(candidate: Candidate) -> str:
    sampler = candidate.sampler
    interval = sampler.guidance_interval
    begin = f" from {sampler.highest_noise:g}" if sampler.highest_noise else ""
    end = f" to {sampler.lowest_noise:g}" if sampler.lowest_noise else ""
    where = f", guidance from {interval[1]:g} to {interval[0]:g}" if interval else ""
    return f"{sampler.scheduler}, {sampler.steps} {sampler.spacing} steps{begin}{end}{where}"


def print_attempt(attempt: Attempt) -> None:
    """A policy that was just tried, on stderr."""
    told = _levels(attempt.choice.snr_db), _levels(attempt.measured_db)
    notes().print(
        f"budget {attempt.budget_db:g} dB: foretold {told[0]}, measured {told[1]}; {_colored(attempt.verdict)}"
    )
    notes().print(f"  {escape(attempt.verdict.summary)}")


def print_tuning(tuning: Tuning) -> None:
    """The fronts that were walked, with what was tried of them."""
    if tuning.samplers:
        _print_samplers(tuning.samplers)
    if tuning.sensitivity:
        _print_policies(tuning, tuning.sensitivity)


def _print_samplers(search: SamplerSearch) -> None:
    tried = {id(attempt.candidate): attempt for attempt in search.attempts}
    front = table("sampler", "rows an object", "share", "latents off by", "R-Precision", "")
    for candidate in search.front:
        attempt = tried.get(id(candidate))
        share = f"{candidate.rows / search.rows:.1%}"
        drop = f"{-attempt.verdict.figures['drop_points']:+.1f} points" if attempt and attempt.verdict.figures else ""
        told = "" if attempt is None else _taken(attempt.verdict, candidate is search.chosen)
        front.add_row(_sampler(candidate), str(candidate.rows), share, f"{candidate.error:.3f}", drop, told)
    results().print(front)
    results().print(
        f"the front of {search.screened} samplers; the recipe's own gives the network {search.rows} rows an object"
    )


def _print_policies(tuning: Tuning, sensitivity: Sensitivity) -> None:
    front = table("budget", "foretold", "saved", "saved an object", "layers changed", "")
    tried = {attempt.budget_db: attempt for attempt in tuning.attempts}
    points = {_budget(choice): choice for choice in tuning.front}
    points |= {budget: attempt.choice for budget, attempt in tried.items()}
    for budget, choice in sorted(points.items()):
        front.add_row(*_point(budget, choice), _verdict(tried.get(budget)))
    results().print(front)
    stored, time = sum(sensitivity.stored_bytes.values()), sensitivity.milliseconds
    results().print(f"of {megabytes(stored)} and {time:.1f} ms an object in products of weights")


def _point(budget: float, choice: LayerChoice) -> list[str]:
    saved = megabytes(choice.bytes_saved), f"{choice.milliseconds_saved:.1f} ms"
    return [f"{budget:g} dB", _levels(choice.snr_db), *saved, str(len(choice.chosen))]


def _verdict(attempt: Attempt | None) -> str:
    return "" if attempt is None else _taken(attempt.verdict, attempt.verdict.passed)


def _taken(verdict: TrialVerdict, taken: bool) -> str:
    if not taken:
        return _colored(verdict)
    return "[green]taken[/]" if verdict.proven else "[yellow]taken, not proven[/]"


def _colored(verdict: TrialVerdict) -> str:
    return f"[{'green' if verdict.passed and verdict.proven else 'yellow'}]{verdict.words}[/]"


def _budget(choice: LayerChoice) -> float:
    from exporter.search.error_metric import decibels

    return round(decibels(choice.budget), 6)


def _levels(snr_db: dict) -> str:
    return ", ".join(f"{name} {level:.1f} dB" for name, level in snr_db.items()) or "–"
