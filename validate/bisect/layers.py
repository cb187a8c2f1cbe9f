"""How much of the signal is left at the output of every layer of a bundle's programs: error by layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exporter.workshop.parity import compare
from validate.bisect.graphs import Arrays, run
from validate.bisect.pair import Originals, ProgramPair
from validate.ladder.result import plain

OnStage = Callable[[int, int], None]


@dataclass(frozen=True)
class LayerError:
    """SNR of a layer's output with all the error that has come up to it. `golden`: the recorded inputs."""

    stage: str
    layer: str
    tensor: str
    precision: str
    snr_db: float
    golden: str

    def to_dict(self) -> dict[str, Any]:
        return self.__dict__ | {"snr_db": plain(self.snr_db)}


def layer_errors(originals: Originals, told: OnStage = lambda done, total: None) -> list[LayerError]:
    """Every layer of every stage, on the golden in the middle of those that the bundle carries; `told(done, total)`
    counts stages."""
    found: list[LayerError] = []
    stages = originals.manifest.goldens
    for done, (stage, goldens) in enumerate(stages.items()):
        told(done, len(stages))
        golden = goldens[len(goldens) // 2]
        found += _of_stage(originals, originals.pair(stage), originals.folder / golden)
    return found


def read_golden(path: Path) -> Arrays:
    """Recorded inputs and outputs by name."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _of_stage(originals: Originals, pair: ProgramPair, golden: Path) -> Sequence[LayerError]:
    inputs, tensors = read_golden(golden), list(dict.fromkeys(pair.layers.values()))
    ours, theirs = run(pair.bundle, inputs, tensors), run(pair.original, inputs, tensors)
    precisions = originals.manifest.stages[pair.stage].layers
    return [
        LayerError(
            pair.stage, layer, tensor, precisions.get(layer, "fp32"),
            compare(theirs[tensor], ours[tensor]).snr_db, golden.name,
        )
        for layer, tensor in pair.layers.items()
        if theirs[tensor].shape == ours[tensor].shape
    ]  # fmt: skip
