"""A benchmark in words and tables."""

from __future__ import annotations

from exporter.machine.timing import Speed
from validate.bench.grids import NOTHING, TextGrid, Told, megabytes, seconds
from validate.bench.machine import in_words
from validate.bench.sides import STAGES
from validate.bench.timings import END_TO_END, STEP, BenchResult, SideResult

COMPOSED = "*"
RANDOM = "Random weights: for speed and memory alone."


def tell(result: BenchResult) -> Told:
    """The seconds of every side, and how many times as fast the bundles are."""
    headers = ("", STEP, *STAGES, "to mesh", "p90", "load", "MB", "peak MB")
    grids = [TextGrid(headers, [_row(side) for side in result.sides])]
    if len(result.measured) > 1:
        grids.append(_ratios(result))
    return Told(result.to_dict(), grids, _words(result))


def _words(result: BenchResult) -> list[str]:
    """What the figures were made with, and how they are to be read."""
    told = result.settings
    picture = f" (a picture of {told['picture']} px is besides)" if told["picture"] else ""
    lines = [
        f"Seconds: medians of {told['rounds']} rounds in which every side had its turn, for one object from its prompt "
        f"to a mesh on {told['grid']}³{picture}. Load: until a fresh process can take a prompt, its files in the page "
        "cache. Peak memory: of one that makes an object, opening programs as it needs them. Ratios: how many times as "
        "fast, round by round, "
        "and the middle half of the rounds.",
        *(f"{side.name}: {side.title}; {side.sampler}, {side.evaluations} evaluations" for side in result.measured),
        *(f"{side.name}: not measured: {side.reason}" for side in result.sides if side.reason),
        f"{told['weights']} on {in_words(result.machine)}.",
    ]
    if any(side.composed for side in result.sides):
        lines.insert(
            1,
            f"{COMPOSED} Composed: diffusion is the number of evaluations times one measured evaluation, and what is "
            "decoded are latents of the first bundle. Bundles are run in full.",
        )
    return lines if told["trained"] else [*lines, RANDOM]


def _row(side: SideResult) -> list[str]:
    medians = [seconds(side.percentile(what, 50)) for what in (STEP, *STAGES, END_TO_END)]
    load = sorted(side.load_seconds)[len(side.load_seconds) // 2] if side.load_seconds else None
    return [
        side.name + (COMPOSED if side.composed else ""),
        *medians,
        seconds(side.percentile(END_TO_END, 90)),
        seconds(load),
        megabytes(side.stored_bytes),
        megabytes(side.fresh.peak_bytes if side.fresh else None),
    ]


def _ratios(result: BenchResult) -> TextGrid:
    rows = []
    for side in result.measured:
        if side.kind == "bundle":
            for what, title in ((STEP, "step"), (END_TO_END, "to mesh")):
                speeds = [None if side is other else result.speed(side, other, what) for other in result.measured]
                rows.append([f"{side.name}, {title}", *map(_ratio, speeds)])
    return TextGrid(["times as fast as", *(other.name for other in result.measured)], rows)


def _ratio(speed: Speed | None) -> str:
    return f"x{speed.ratio:.3g} ({speed.low:.3g}–{speed.high:.3g})" if speed else NOTHING
