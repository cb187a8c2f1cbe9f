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


def as_number(value: Any) -> float | None:
    """A figure of a report, where infinities and nan are strings."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
