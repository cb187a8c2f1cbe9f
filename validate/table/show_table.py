"""The table for people: on a terminal, and as Markdown for a README."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table as RichTable

from exporter.machine.timing import Speed
from validate.table.table_result import Fidelity, Rate, Result, Table

NOTHING = "–"
HEADERS = (
    "",
    "R-Precision %",
    "harder set %",
    "guided SNR dB",
    "latent drift",
    "Chamfer",
    "MB",
    "step",
    "end to end",
    "peak MB",
)
SYNTHETIC = (
    "Synthetic: outliers are injected into these weights. The table tests quantizers and says nothing about a model."
)
RANDOM = "Random weights: nothing is said about quality."


def console_table(table: Table) -> RenderableType:
    """Two lines a row: the figure, and below it the interval or the spread."""
    made = RichTable(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for index, header in enumerate(HEADERS):
        made.add_column(header, justify="right" if index else "left", overflow="fold", min_width=0 if index else 16)
    for row in table.rows:
        made.add_row(escape(row.title), *(escape("\n".join(cell)) for cell in _cells(table, row)))
    return Group(made, "", *(escape(line) for line in _words(table)))


def markdown(table: Table) -> str:
    """A Markdown table with what it was measured on below it."""
    rows = [[row.title, *(" ".join(cell) for cell in _cells(table, row))] for row in table.rows]
    lines = [_line(HEADERS), _line(["---", *["---:"] * (len(HEADERS) - 1)]), *map(_line, rows)]
    return "\n".join([*lines, "", *(f"- {line}" for line in _words(table))]) + "\n"


def _cells(table: Table, row: Result) -> list[list[str]]:
    """Each cell after the title as its figure and, where there is one, what stands below it."""
    peak = NOTHING if row.peak_bytes is None else f"{row.peak_bytes / 1e6:.0f}"
    speeds = _speed(row.step), _speed(row.end_to_end)
    return [_rate(row.rate), _rate(row.hard_rate), *_watched(row.fidelity), _size(table, row), *speeds, [peak]]


def _rate(rate: Rate | None) -> list[str]:
    if rate is None:
        return [NOTHING]
    p_value = "" if rate.p_value is None else f" p {rate.p_value:.2g}"
    return [f"{rate.percent:.1f}{p_value}", f"({rate.low:.1f}–{rate.high:.1f})"]


def _watched(fidelity: Fidelity | None) -> list[list[str]]:
    """Guided SNR, latent drift and Chamfer distance."""
    if fidelity is None:
        return [[NOTHING]] * 3
    snr = [NOTHING]
    if fidelity.snr_mean_db is not None:
        snr = [f"{fidelity.snr_mean_db:.1f}", f"worst {fidelity.snr_worst_db:.1f}"]
    return [snr, [f"{fidelity.latents_relative_l2:.2g}"], [f"{fidelity.chamfer:.2g}"]]


def _size(table: Table, row: Result) -> list[str]:
    ratio = table.bytes_ratio(row)
    if row.stored_bytes is None or ratio is None:
        return [NOTHING]
    return [f"{row.stored_bytes / 1e6:.2f}", f"{ratio:.0%}"]


def _speed(speed: Speed | None) -> list[str]:
    if speed is None or not math.isfinite(speed.ratio):
        return [NOTHING]
    return [f"x{speed.ratio:.2f}", f"({speed.low:.2f}–{speed.high:.2f})"]


def _words(table: Table) -> list[str]:
    """What the figures were made with, and how they are to be read."""
    told = table.settings
    lines = [
        *_sampled(table),
        "MB: of the programs, and their share of the fp32 bundle's.",
        f"Times: how many times as fast as the fp32 bundle, run in turns, {told['threads']} threads; the middle half "
        "of the rounds in brackets. Peak memory of one object in a fresh process.",
    ]
    rated = next((row for row in table.rows if row.rate), None)
    if rated and rated.rate:
        sets = f"{rated.rate.captions} captions" + (f", {rated.hard_rate.captions} harder" if rated.hard_rate else "")
        lines.insert(
            1,
            f"R-Precision: {told['prompts']} prompts x {told['seeds']} seeds among {sets}; 95 % interval, McNemar's p "
            f"against the original; {told['views']}; judge {told['judge']['name']}.",
        )
    lines += [f"{row.title}: not measured: {' '.join(row.reason.split())}" for row in table.rows if row.reason]
    lines += [f"{row.title}: {row.note}" for row in table.rows if row.note]
    if not table.trained:
        lines.append(RANDOM)
    if table.synthetic:
        lines.append(SYNTHETIC)
    return lines


def _sampled(table: Table) -> list[str]:
    """What sampled, and how its figures came to be; of a model that samples nothing, what stands in their place."""
    told = table.settings
    if not told["evaluations"]:
        return [
            f"{table.weights} on {table.target}; nothing is sampled.",
            f"Latent drift (relative L2), here of what the field is made of, and Chamfer: medians of "
            f"{told['followed_prompts']} pictures.",
        ]
    followed = f"{told['evaluations']} evaluations of {told['followed_prompts']} prompts"
    return [
        f"{table.weights} on {table.target}; {told['scheduler']}, {told['steps']} steps, guidance "
        f"{told['guidance_scale']:g}.",
        f"Guided SNR: mean and worst over {followed}, each from the original's own state; latent drift (relative L2) "
        "and Chamfer: medians of the same prompts, free-running.",
    ]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
