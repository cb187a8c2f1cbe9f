"""Figures as people read them."""

from __future__ import annotations

import math
from typing import Any


def show(value: Any, unit: str = "") -> str:
    """A figure for people: four significant digits, its unit, and words for what is no number."""
    number = as_number(value)
    if number == math.inf and unit == "dB":
        return "exact"
    if number is None or not math.isfinite(number):
        return "not a number" if number is None or math.isnan(number) else ("∞" if number > 0 else "−∞")
    text = f"{number:.4g}".replace("-", "−")
    return f"{text}{unit}" if unit in ("", "%") else f"{text} {unit}"


def signed(value: float, digits: int = 1) -> str:
    """A difference with its sign."""
    return f"{value:+.{digits}f}".replace("-", "−")


def turned(measure: str, value: Any) -> tuple[str, Any]:
    """Measure and value as people say it: a drop below nothing is a gain."""
    number = as_number(value)
    return ("gain", -number) if measure == "drop" and number is not None and number < 0 else (measure, value)


def allowed(measure: str, value: Any, sense: str, limit: str) -> str:
    """A limit in words; beside a gain it says that it is for a drop."""
    return f"a drop of {sense} {limit}" if turned(measure, value)[0] == "gain" else f"{sense} {limit}"


def between(low: Any, high: Any, spec: str = "+.3g") -> str:
    """The bounds of a 95 % interval, or that there is none."""
    bounds = as_number(low), as_number(high)
    if any(bound is None or not math.isfinite(bound) for bound in bounds):
        return "too few prompts for an interval"
    return f"{bounds[0]:{spec}} to {bounds[1]:{spec}}"


def loss_shown(pairs: int, points: float | None) -> str:
    """What n pairs can prove, `points` the smallest loss that they can show."""
    if points is None:
        return f"{pairs} {'pair' if pairs == 1 else 'pairs'} cannot show any loss"
    return f"{pairs} pairs cannot show a loss under {points:.1f} points"


def as_number(value: Any) -> float | None:
    """A figure of a report, where infinities and nan are strings."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
