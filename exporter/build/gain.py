"""Did quantizing help? A stage that is slower than its float self, or no smaller, has no reason to be quantized.

The most repeated complaint of quantization is that it is no faster (NVIDIA/TensorRT#2067 and many like it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exporter.backends.backend import Backend, MadeProgram
from exporter.errors import ValidationFailed
from exporter.machine.meter import metered
from exporter.recipe.quantization_section import Saving
from exporter.search.candidates import FP32
from exporter.search.latency import interleaved
from exporter.targets.stand_in import stand_in
from exporter.targets.target import Target
from exporter.workshop.goldens import goldens_of
from exporter.workshop.workshop import Workshop

ROUNDS, FEWEST_ROUNDS = 5, 2
# Time enough for all rounds of a program that takes less than a second.
ROUNDS_SECONDS = 10.0
MEASURED = ("onnxruntime", "openvino")
# Below this much of the time is the call's own, and an object is hardly any slower by it.
LEAST_MILLISECONDS = 5.0


@dataclass(frozen=True)
class Gain:
    """One quantized stage against its float self.

    `bytes_share`: its program's bytes as a share of the float program's. `time_share`: its time as a share, the median
    over rounds in which both had their turn, with its quartiles; None where the target does not run on this machine.
    `milliseconds`: the float program's.
    """

    stage: str
    bytes_share: float
    milliseconds: float | None = None
    time_share: float | None = None
    spread: tuple[float, float] | None = None

    @property
    def times_as_fast(self) -> float | None:
        """As its float program; None where the target does not run on this machine."""
        return None if self.time_share is None else 1 / self.time_share

    def has(self, saving: Saving) -> bool:
        """Whether the stage saves what its recipe is for. Slower is what is so in three rounds of four."""
        if saving == "bytes":
            return self.bytes_share < 1.0
        if self.milliseconds is None or self.spread is None or self.milliseconds < LEAST_MILLISECONDS:
            return True
        return self.spread[0] <= 1.0


def weigh(workshop: Workshop, backend: Backend, folder: Path, made: Sequence[MadeProgram]) -> list[Gain]:
    """The gain of every quantized stage that was a float program first."""
    gains = []
    for one in made:
        if one.program.precision(one.entry.folder) != "fp32" and one.original.key != one.entry.key:
            with metered(f"weigh {one.name}", workshop.progress, workshop.steps):
                gains.append(_weigh(backend, workshop.target, folder, one))
    return gains


def require_gain(gains: Sequence[Gain], saving: Saving) -> None:
    """Raises ValidationFailed that names each stage that does not save what the recipe is for."""
    failed = [gain for gain in gains if not gain.has(saving)]
    if failed:
        lines = "\n  ".join(_told(gain, saving) for gain in failed)
        raise ValidationFailed(
            f"quantizing did not help (quantization.saves: {saving}):\n  {lines}\nThe former bundle is untouched. "
            "Leave these layers in fp32, choose another precision (`t3export sensitivity` times them), say "
            "`saves: bytes` if the recipe is for a small download, or build with --allow no-gain"
        )


def _weigh(backend: Backend, target: Target, folder: Path, one: MadeProgram) -> Gain:
    sizes = [
        sum((place / name).stat().st_size for name in one.program.files(place))
        for place in (one.entry.folder, one.original.folder)
    ]
    share = sizes[0] / sizes[1]
    golden = next(iter(goldens_of(folder, one.name)), None)
    same = one.program.inputs(one.original.folder) == one.program.inputs(one.entry.folder)
    if golden is None or not same or target.backend not in MEASURED or stand_in(target):
        return Gain(one.name, share)
    with np.load(golden, allow_pickle=False) as file:
        arrays = dict(file)
    sessions = {
        FP32: backend.open_program(one.original.folder / one.program.main, target.in_fp32),
        "quantized": backend.open_program(folder / one.main, target),
    }
    timing = interleaved(sessions, arrays, ROUNDS, FEWEST_ROUNDS, ROUNDS_SECONDS)
    return Gain(one.name, share, timing.milliseconds, timing.shares["quantized"], timing.spread["quantized"])


def _told(gain: Gain, saving: Saving) -> str:
    if saving == "bytes":
        return f"{gain.stage}: {gain.bytes_share:.0%} of its float program's bytes"
    assert gain.times_as_fast is not None and gain.spread is not None
    low, high = gain.spread
    speed = f"x{gain.times_as_fast:.2f} as fast as its float program, which takes {gain.milliseconds:.1f} ms"
    return f"{gain.stage}: {speed} (the middle half of the rounds: x{1 / high:.2f} to x{1 / low:.2f})"
