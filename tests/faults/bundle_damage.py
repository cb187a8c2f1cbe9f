"""The files of a bundle by their class, and loops that damage them and open the bundle."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from exporter.release.gate import require_releasable
from exporter.runtime.bundle import Bundle
from tests.faults.damage import Damage, damaged, outcome
from tests.faults.fault import Attempt
from tests.releasable import QUALITY, record, write_releasable
from tests.toy_bundle import TABLE, TOKENIZER
from tests.validate.proved_bundle import prove

CLASSES = {
    "manifest": "manifest.json",
    "graph": "denoiser.onnx",
    "external data": "text_encoder.data",
    "graph with external data": "text_encoder.onnx",
    "tokenizer": TOKENIZER,
    "sampler's table": TABLE,
    "goldens": "goldens/denoiser.npz",
    "report": "reports/report.json",
}


def write_bundle(folder: Path) -> Path:
    """A bundle with a file of every class."""
    prove(write_releasable(folder))
    record(folder, QUALITY)
    return folder


def damage_bundle(folder: Path, count: int, rng: random.Random, damages: dict[str, Damage]) -> Iterator[Attempt]:
    """Damages one file after the other. A bundle is opened; its report, which running does not need, is released."""
    bundle = write_bundle(folder / "cpu")
    missing = [path for path in CLASSES.values() if not (bundle / path).is_file()]
    assert not missing, missing
    Bundle.open(bundle)
    require_releasable([bundle])
    for number in range(count):
        case, path = list(CLASSES.items())[number % len(CLASSES)]
        kind = rng.choice(list(damages))
        with damaged(bundle / path, damages[kind], rng):
            lost = outcome(partial(require_releasable, [bundle]) if case == "report" else partial(Bundle.open, bundle))
        yield Attempt(f"{case}, {kind}", lost)
    Bundle.open(bundle)
