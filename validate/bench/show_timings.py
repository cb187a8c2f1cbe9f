"""A benchmark in words and tables."""

from __future__ import annotations

from exporter.machine.timing import Speed
from validate.bench.grids import NOTHING, TextGrid, Told, megabytes, seconds
from validate.bench.machine import in_words
from validate.bench.timings import END_TO_END, STEP, BenchResult, SideResult, both

COMPOSED = "*"
RANDOM = "Random weights: for speed and memory alone."


def tell(result: BenchResult) -> Told:
    """The seconds of every side, and how many times as fast the bundles are."""
    step = [STEP] if any(side.step_seconds for side in result.sides) else []
    whats = [*step, *result.parts, END_TO_END]
    headers = ["", *whats[:-1], _whole(result), "p90", "load", "MB", "peak MB"]
    grids = [TextGrid(headers, [_row(side, whats) for side in result.sides])]
    if len(result.measured) > 1:
        grids.append(_ratios(result))
    return Told(result.to_dict(), grids, _words(result))


def _words(result: BenchResult) -> list[str]:
    """What the figures were made with, and how they are to be read."""
    told = result.settings
    sizes = [f"a mesh is on {told['grid']}³"] if told["grid"] else []
    sizes += [f"an image has {told['picture']} px"] if told["picture"] else []
    besides = sorted({part for side in result.measured for part in side.besides})
    sizes += [f"{', '.join(besides)}: besides, with all that it takes"] if besides else []
    lines = [
        f"Seconds: medians of {told['rounds']} rounds in which every side had its turn, for one object from its inputs "
        f"to its {told['asset']}, stage by stage{'; '.join(['', *sizes])}. Load: until a fresh process can take a "
        "prompt, its files in the page cache. Peak memory: of one that makes an object, opening programs as it needs "
        "them. Ratios: how many times as fast, round by round, and the middle half of the rounds.",
        *map(_title, result.measured),
        *(f"{side.name}: not measured: {side.reason}" for side in result.sides if side.reason),
        f"{told['weights']} on {in_words(result.machine)}.",
    ]
    if any(side.composed for side in result.sides):
        lines.insert(
            1,
            f"{COMPOSED} Composed: a sampler's time is the number of its evaluations times one measured evaluation, "
            "and what is decoded are latents of a bundle of its model. Bundles are run in full.",
        )
    return lines if told["trained"] else [*lines, RANDOM]


def _title(side: SideResult) -> str:
    sampler = f"; {side.sampler}, {side.evaluations} evaluations" if side.evaluations else ""
    return f"{side.name}: {side.title}{sampler}"


def _whole(result: BenchResult) -> str:
    return f"to {result.settings['asset']}"


def _row(side: SideResult, whats: list[str]) -> list[str]:
    medians = [seconds(side.percentile(what, 50)) for what in whats]
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
            for what, title in ((STEP, STEP), (END_TO_END, _whole(result))):
                speeds = [
                    result.speed(side, other, what) if side is not other and both(side, other, what) else None
                    for other in result.measured
                ]
                if any(speeds):
                    rows.append([f"{side.name}, {title}", *map(_ratio, speeds)])
    return TextGrid(["times as fast as", *(other.name for other in result.measured)], rows)


def _ratio(speed: Speed | None) -> str:
    return f"x{speed.ratio:.3g} ({speed.low:.3g}–{speed.high:.3g})" if speed else NOTHING
