"""Statistics of a program's activations, taken while it runs on recorded inputs; no activation is kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import onnx

from exporter.errors import ValidationFailed
from exporter.quantize.segments import Segments
from exporter.quantize.statistics import Statistics
from exporter.runtime.sessions.onnxruntime import require_one_distribution

Arrays = dict[str, np.ndarray]
OnRun = Callable[[int, int], None]


def collect(
    program: Path,
    tensors: Sequence[str],
    shards: Sequence[Path],
    *,
    grams: Collection[str] = (),
    energies: Collection[str] = (),
    guidance_scale: float | None = None,
    threads: int = 0,
    on_run: OnRun | None = None,
) -> dict[str, Statistics]:
    """Statistics of these activations of a float32 program over recorded inputs.

    Each shard is a `.npz` of the program's inputs and `prompts` [B]. Tensors of `grams` get a gram, those of `energies`
    its diagonal; with a `guidance_scale` those whose first dimension is 2·B get the guided one too, unconditional half
    first.
    The program runs once on each shard, in segments whose tensors stay below a bound (by the sizes of the first shard,
    which should be the largest). `on_run(done, total)` is told of each shard. `threads` 0: all processors.
    Raises ValidationFailed that names tensor, shard and prompt at a value that is not finite.
    """
    if not tensors:
        return {}
    if not shards:
        raise ValueError(f"{program}: no recorded inputs to run it on")
    require_one_distribution()
    model = onnx.load(program, load_external_data=False)
    _require_known(model, tensors, program)
    segments = Segments(model, program.parent, tensors, _read(shards[0]), threads)
    found: dict[str, Statistics] = {}
    for done, shard in enumerate(shards, start=1):
        inputs = _read(shard)
        prompts = [str(prompt) for prompt in inputs["prompts"]]
        for name, values in segments.run(inputs):
            _require_finite(values, name, shard, prompts)
            statistics = found.setdefault(name, Statistics.of_nothing(values.shape[-1]))
            statistics.add(values)
            scale = guidance_scale if len(values) == 2 * len(prompts) else None
            if name in grams:
                statistics.add_gram(values, scale)
            if name in energies:
                statistics.add_energy(values, scale)
        if on_run:
            on_run(done, len(shards))
    return found


def _require_known(model: onnx.ModelProto, tensors: Sequence[str], program: Path) -> None:
    known = {name for node in model.graph.node for name in node.output} | {v.name for v in model.graph.input}
    if missing := [name for name in tensors if name not in known]:
        raise ValueError(f"{program}: no tensor {', '.join(missing)}")


def _read(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _require_finite(values: np.ndarray, tensor: str, shard: Path, prompts: list[str]) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        # One that is not finite makes the sum so, and a sum takes no memory.
        if np.isfinite(values.sum()):
            return
    finite = np.isfinite(values)
    if finite.all():
        return
    where = tuple(np.argwhere(~finite)[0])
    raise ValidationFailed(
        f"calibration: tensor '{tensor}' holds {values[where]} in {shard.name}, "
        f"{_prompt(where, values.shape, prompts)}: the float32 program itself makes it, so no range can be taken from "
        "it. Check the weights, or leave the prompt out of quantization.calibration.prompts"
    )


def _prompt(where: tuple[int, ...], shape: tuple[int, ...], prompts: list[str]) -> str:
    """Which prompt a value belongs to: rows go by the batch, once or for both branches, or after a first dimension."""
    count = len(prompts)
    if shape[0] in (count, 2 * count):
        return f"prompt {prompts[where[0] % count]!r}"
    if len(shape) > 2 and shape[1] == count:
        return f"prompt {prompts[where[1]]!r}"
    return f"prompts {', '.join(map(repr, prompts))}"
