"""How far each stage of a bundle is from what the machine can do (Williams, Waterman and Patterson, 2009).

A stage cannot be faster than its products at the machine's best rate for their shapes, nor than its weights can be
read. Attention is counted at the best rate of any shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from exporter.machine.meter import Progress, metered
from exporter.pipeline.pipeline import EVALUATED
from exporter.runtime.bundle import Bundle
from exporter.runtime.run import AT_ONCE
from validate.bench.ceilings import GIGA, KINDS, Ceiling, Kind, heaviest, product_ceilings, read_bandwidth
from validate.bench.grids import NOTHING, TextGrid, Told, seconds
from validate.bench.machine import in_words
from validate.bench.measure import BenchSettings, measure
from validate.bench.products import Counted, ProductShape, count_products
from validate.bench.sides import BundleSide

Ceilings = dict[ProductShape, dict[Kind, Ceiling]]


@dataclass(frozen=True)
class StageRoof:
    """One stage, of a sampler one evaluation: measured seconds, operations, and the least seconds that are possible.

    `least`: by precision, were all its products of that; `reading`: of its weights from memory.
    """

    name: str
    precision: str
    seconds: float
    operations: int
    least: dict[Kind, float]
    reading: float

    def share(self, kind: Kind) -> float:
        """Of the best that is possible in a precision, from 0 to 1; more where the stage runs in a lower one."""
        return max(self.least[kind], self.reading) / self.seconds


@dataclass(frozen=True)
class Roofline:
    """The machine's ceilings by shape, its memory in bytes a second, and every stage below them."""

    machine: dict[str, Any]
    settings: dict[str, Any]
    ceilings: Ceilings
    bandwidth: float
    stages: list[StageRoof]


def measure_roofline(folder: Path, settings: BenchSettings, progress: Progress) -> Roofline:
    """Measure a bundle, then the machine at the bundle's own shapes. Raises BundleError, WeightsError."""
    bundle = settings.open(folder)
    result = measure([folder], replace(settings, baselines=(), picture=0, fresh=False), progress)
    [side] = result.sides
    taken = {**side.seconds, **side.step_seconds}
    counted = {name: products for name, products in count_products(bundle.manifest).items() if name in taken}
    ceilings: Ceilings = {}
    for shape in heaviest([stage.linear for stage in counted.values()]):
        with metered(f"product {shape}", progress, []):
            ceilings[shape] = product_ceilings(shape, settings.threads)
    with metered("memory", progress, []):
        bandwidth = read_bandwidth()
    runs, roofs = _runs(bundle, settings), []
    for name, products in counted.items():
        part, median = bundle.manifest.stages[name], float(np.median(taken[name]))
        roofs.append(_roof(name, part.precision, median, products, runs[name], ceilings, part.size / bandwidth))
    return Roofline(result.machine, result.settings, ceilings, bandwidth, roofs)


def tell_roofline(found: Roofline) -> Told:
    """The machine's ceilings, and each stage's share of them."""
    best = [[str(shape), *(_rate(kinds.get(kind)) for kind in KINDS)] for shape, kinds in found.ceilings.items()]
    rows = [
        [
            f"{stage.name} ({stage.precision})",
            seconds(stage.seconds),
            f"{stage.operations / GIGA:.3g}",
            f"{stage.operations / stage.seconds / GIGA:.3g}",
            *(f"{100 * stage.share(kind):.0f} %" if kind in stage.least else NOTHING for kind in KINDS),
            seconds(stage.reading),
        ]
        for stage in found.stages
    ]
    words = [
        "Products: Gop/s of the fastest library at each shape, rows x inner x columns.",
        "Stages: seconds of one object, of a sampler one evaluation; share: of the time that was needed, the part that "
        "its products (or reading its weights) would take at the machine's best, were all of them fp32, bf16 or int8. "
        "Above 100 %: it runs in less than that precision. Attention is counted in the same precision, at the best "
        "rate of any shape.",
        f"Memory: {found.bandwidth / GIGA:.1f} GB/s.",
        f"{found.settings['weights']} on {in_words(found.machine)}.",
    ]
    grids = [
        TextGrid(("product", *(f"{kind} Gop/s" for kind in KINDS)), best),
        TextGrid(("stage", "seconds", "Gop", "Gop/s", *(f"share of {kind}" for kind in KINDS), "reading"), rows),
    ]
    return Told(_data(found), grids, words)


def _roof(
    name: str, precision: str, taken: float, counted: Counted, runs: float, ceilings: Ceilings, reading: float
) -> StageRoof:
    operations = round(runs * (counted.linear_operations + counted.attention_operations))
    least = {}
    for kind in KINDS:
        rates = {shape: kinds[kind].rate for shape, kinds in ceilings.items() if kind in kinds}
        if rates:
            least[kind] = runs * _least(counted, rates)
    return StageRoof(name, precision, taken, operations, least, reading)


def _least(counted: Counted, rates: Mapping[ProductShape, float]) -> float:
    """Seconds of a stage's products at given rates; a shape that was not measured, at the best of them."""
    best = max(rates.values())
    products = sum(times * shape.operations / rates.get(shape, best) for shape, times in counted.linear.items())
    return products + counted.attention_operations / best


def _runs(bundle: Bundle, settings: BenchSettings) -> dict[str, float]:
    """By stage, how often one object takes what is counted: a field or a renderer for all its points or rays."""
    places = BundleSide(bundle, settings.threads).make(replace(settings, picture=0).work(bundle)).places
    words = {name: EVALUATED.get(stage.kind) for name, stage in bundle.pipeline.stages.items()}
    return {name: places[name] / AT_ONCE[word] if word else 1.0 for name, word in words.items()}


def _rate(ceiling: Ceiling | None) -> str:
    return f"{ceiling.rate / GIGA:.0f} {ceiling.library}" if ceiling else NOTHING


def _data(found: Roofline) -> dict[str, Any]:
    products = {
        str(shape): {kind: asdict(ceiling) for kind, ceiling in kinds.items()}
        for shape, kinds in found.ceilings.items()
    }
    stages = [asdict(stage) | {"share": {kind: stage.share(kind) for kind in stage.least}} for stage in found.stages]
    told = {"machine": found.machine, "settings": found.settings, "products": products}
    return told | {"bytes_per_second": found.bandwidth, "stages": stages}
