"""Plots as inline SVG that take their colours from the page, so that dark mode and print need nothing of their own.

Series differ by marker and dash, not by colour alone. Sizes are in the units of the view box, whose width is about that
of a phone, so that text stays readable there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

WIDTH, HEIGHT = 380.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 12.0, 26.0, 36.0
DASHES = ("", "5 3", "1.5 2.5")
TICKS = 5
LARGEST_LABEL = 5


@dataclass(frozen=True)
class Series:
    """Points of one kind. `labels` are told on hover, one a point; a value that is not finite is left out."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    labels: Sequence[str] = ()
    joined: bool = True


@dataclass(frozen=True)
class Limit:
    """A horizontal line that must be kept."""

    value: float
    label: str


@dataclass(frozen=True)
class Plot:
    """One chart. `title` is what a screen reader says. `logarithmic` holds for y."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    limits: Sequence[Limit] = field(default_factory=tuple)
    logarithmic: bool = False

    def __html__(self) -> str:
        return draw(self)


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (math.log10(v) if self.logarithmic else v for v in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def draw(plot: Plot) -> Markup:
    """The chart as an `<svg>` element; a sentence where there is nothing finite to draw."""
    points = [(x, y) for series in plot.series for x, y in _finite(series, plot.logarithmic)]
    if not points:
        return Markup("<p class=quiet>Every value is exact: there is no error to draw.</p>")
    values = [y for _, y in points] + [limit.value for limit in plot.limits]
    x_ticks = ticks(min(x for x, _ in points), max(x for x, _ in points), whole=True)
    y_ticks = powers(min(values), max(values)) if plot.logarithmic else ticks(min(values), max(values))
    x = _Scale(min(p[0] for p in points) - 0.5, max(p[0] for p in points) + 0.5, LEFT, WIDTH - RIGHT)
    y = _Scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP, plot.logarithmic)
    parts = [
        *(_grid_line(y(tick), _number(tick)) for tick in y_ticks),
        *(_x_tick(x(tick), _number(tick)) for tick in x_ticks if x.low <= tick <= x.high),
        *(_limit(y(limit.value), limit.label) for limit in plot.limits),
        *(part for i, series in enumerate(plot.series) for part in _series(i, series, plot.logarithmic, x, y)),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, plot.x_label, "middle"),
        _text(2, 11, plot.y_label, "start"),
    ]
    head = f'<svg class=plot viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{escape(plot.title)}">'
    return Markup(head + "".join(parts) + "</svg>")


def legend(plot: Plot) -> Markup:
    """The series' names beside their markers, where there is more than one."""
    if len(plot.series) < 2:
        return Markup("")
    entries = []
    for i, series in enumerate(plot.series):
        line = f'<path class="line s{i % 3}" d="M1 7H27" stroke-dasharray="{DASHES[i % 3]}"/>' if series.joined else ""
        sample = f'<svg viewBox="0 0 28 14" width=28 height=14 aria-hidden=true>{line}{_marker(i, 14, 7)}</svg>'
        entries.append(f"<span>{sample} {escape(series.name)}</span>")
    return Markup("<p class=legend>" + "".join(entries) + "</p>")


def ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Round numbers from at most `low` to at least `high`, about five of them."""
    if low == high:
        low, high = low - 1, high + 1
    raw = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    step = max(1.0, step) if whole else step
    first, last = math.floor(low / step), math.ceil(high / step)
    return [number * step for number in range(first, last + 1)]


def powers(low: float, high: float) -> list[float]:
    """Powers of ten around positive numbers."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [10.0**exponent for exponent in range(first, max(last, first + 1) + 1)]


def _finite(series: Series, positive: bool) -> list[tuple[float, float]]:
    pairs = zip(series.x, series.y, strict=True)
    return [(x, y) for x, y in pairs if math.isfinite(y) and (y > 0 or not positive)]


def _series(index: int, series: Series, positive: bool, x: _Scale, y: _Scale) -> list[str]:
    places = [(x(a), y(b)) for a, b in _finite(series, positive)]
    told = [
        label for label, b in zip(series.labels, series.y, strict=True) if math.isfinite(b) and (b > 0 or not positive)
    ] if series.labels else [""] * len(places)  # fmt: skip
    parts = []
    if series.joined and len(places) > 1:
        path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
        parts.append(f'<path class="line s{index % 3}" d="{path}" stroke-dasharray="{DASHES[index % 3]}"/>')
    every = 1 if not series.joined else max(1, len(places) // 16)
    parts += [
        _marker(index, a, b, label)
        for i, ((a, b), label) in enumerate(zip(places, told, strict=True))
        if i % every == 0 or i == len(places) - 1
    ]
    return parts


def _marker(index: int, x: float, y: float, label: str = "") -> str:
    """A circle, a square or a triangle."""
    told = f"<title>{escape(label)}</title>" if label else ""
    shape = (
        f'<circle class="mark s0" cx="{x:.1f}" cy="{y:.1f}" r="2.6">{told}</circle>',
        f'<rect class="mark s1" x="{x - 2.5:.1f}" y="{y - 2.5:.1f}" width="5" height="5">{told}</rect>',
        f'<path class="mark s2" d="M{x:.1f} {y - 3.4:.1f}l3.2 5.6h-6.4z">{told}</path>',
    )
    return shape[index % 3]


def _grid_line(y: float, label: str) -> str:
    line = f'<path class=grid d="M{LEFT:g} {y:.1f}H{WIDTH - RIGHT:g}"/>'
    return line + _text(LEFT - 5, y + 3.5, label, "end")


def _x_tick(x: float, label: str) -> str:
    return f'<path class=grid d="M{x:.1f} {HEIGHT - BOTTOM:g}v4"/>' + _text(x, HEIGHT - BOTTOM + 15, label, "middle")


def _limit(y: float, label: str) -> str:
    line = f'<path class=limit d="M{LEFT:g} {y:.1f}H{WIDTH - RIGHT:g}"/>'
    below = y < HEIGHT - BOTTOM - 14
    return line + _text(LEFT + 6, y + 12 if below else y - 4, label, "start", "limit-label")


def _text(x: float, y: float, words: str, anchor: str, kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _number(value: float) -> str:
    """A tick's number, short."""
    return f"{value:.{LARGEST_LABEL}g}".replace("e-0", "e-").replace("e+0", "e")
