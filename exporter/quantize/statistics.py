"""What the activations of a program are like on recorded inputs: ranges, histograms and second moments.

Guidance combines the two halves of a batch to u + g·(c - u). To first order an error dW of a layer's weight changes
that by z·dW, with z = g·x_c + (1 - g)·x_u of the layer's inputs, so that the sum of z zᵀ ("guided gram") measures what
the sampler sees, where the sum of x xᵀ ("gram", as in GPTQ, arXiv 2210.17323) measures each half alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from exporter.errors import ValidationFailed
from exporter.machine.processor import threads_to_use
from exporter.runtime.sessions.onnxruntime import require_one_distribution

BINS = 2048
OUTPUT_BYTES = 2**30

Arrays = dict[str, np.ndarray]
OnRun = Callable[[int, int], None]


@dataclass
class Statistics:
    """Of one activation tensor [..., K] over all shards; whatever stands before the last dimension is a row.

    `maximum`: the largest magnitude. `minimum`: the least value, at most 0. `channel_maximum`: float32 [K] magnitudes.
    `histogram`: int64 [2048], magnitudes in even bins over [0, `edge`), the least power of two above the maximum, so
    that the counts do not depend on the order in which values came (0 while all values are). `rows`: how many vectors
    of K were seen. `gram`, `guided_gram`: float32 [K, K], sums over rows, only where they were asked for.
    """

    maximum: float
    channel_maximum: np.ndarray
    histogram: np.ndarray
    edge: float
    rows: int
    minimum: float = 0.0
    gram: np.ndarray | None = None
    guided_gram: np.ndarray | None = None

    @classmethod
    def of_nothing(cls, channels: int) -> Statistics:
        """Before the first value."""
        return cls(0.0, np.zeros(channels, np.float32), np.zeros(BINS, np.int64), 0.0, 0)

    def add(self, values: np.ndarray) -> None:
        """Count the values [..., K] in, all of them finite."""
        self.minimum = min(self.minimum, float(values.min()))
        magnitudes = np.abs(values.reshape(-1, values.shape[-1]))
        self.rows += len(magnitudes)
        self.channel_maximum = np.maximum(self.channel_maximum, magnitudes.max(axis=0))
        self.maximum = float(self.channel_maximum.max())
        self._widen()
        bins = np.ldexp(magnitudes, math.frexp(BINS)[1] - math.frexp(self.edge)[1]).astype(np.uint16)
        self.histogram += np.bincount(bins.ravel(), minlength=BINS)

    def add_gram(self, values: np.ndarray) -> None:
        """Count the values [..., K] into `gram`."""
        self.gram = _sum(self.gram, values)

    def add_guided_gram(self, values: np.ndarray, scale: float) -> None:
        """Count the values [2·B, ..., K], the unconditional half first, into `guided_gram`."""
        unconditional, conditional = np.split(values, 2)
        self.guided_gram = _sum(self.guided_gram, scale * conditional + (1.0 - scale) * unconditional)

    def _widen(self) -> None:
        """The least power of two above the maximum; where that doubles the edge, two bins become one."""
        edge = 2.0 ** math.frexp(self.maximum)[1] if self.maximum else 0.0
        while 0.0 < self.edge < edge:
            self.histogram = np.concatenate([self.histogram.reshape(-1, 2).sum(axis=1), np.zeros(BINS // 2, np.int64)])
            self.edge *= 2.0
        self.edge = edge


def collect(
    program: Path,
    tensors: Sequence[str],
    shards: Sequence[Path],
    *,
    grams: Collection[str] = (),
    guidance_scale: float | None = None,
    threads: int = 0,
    on_run: OnRun | None = None,
) -> dict[str, Statistics]:
    """Statistics of these activations of a float32 program over recorded inputs.

    Each shard is a `.npz` of the program's inputs and `prompts` [B]. Tensors of `grams` get a gram; with a
    `guidance_scale` those whose first dimension is 2·B get a guided gram too, unconditional half first.
    The program runs on each shard as often as it takes to keep the tensors of one run below 1 GiB (by the sizes of the
    first shard, which should be the largest). `on_run(done, total)` is told of each run. `threads` 0: all processors.
    Raises ValidationFailed that names tensor, shard and prompt at a value that is not finite.
    """
    if not tensors:
        return {}
    if not shards:
        raise ValueError(f"{program}: no recorded inputs to run it on")
    require_one_distribution()
    model = onnx.load(program, load_external_data=False)
    _require_known(model, tensors, program)
    groups = list(_groups(_sizes(model, program.parent, tensors, shards[0], threads)))
    found: dict[str, Statistics] = {}
    for number, group in enumerate(groups):
        run = _runner(model, program.parent, group, threads)
        for done, shard in enumerate(shards, start=number * len(shards) + 1):
            inputs = _read(shard)
            prompts = [str(prompt) for prompt in inputs["prompts"]]
            for name, values in run(inputs):
                _require_finite(values, name, shard, prompts)
                statistics = found.setdefault(name, Statistics.of_nothing(values.shape[-1]))
                statistics.add(values)
                if name in grams:
                    statistics.add_gram(values)
                    if guidance_scale is not None and len(values) == 2 * len(prompts):
                        statistics.add_guided_gram(values, guidance_scale)
            if on_run:
                on_run(done, len(groups) * len(shards))
        del run  # or the next session's weights would be in memory beside this one's
    return found


def save(found: Mapping[str, Statistics], folder: Path) -> None:
    """Write the statistics of each tensor into a `.npz` of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, (tensor, statistics) in enumerate(found.items()):
        arrays = {name: value for name, value in vars(statistics).items() if value is not None}
        np.savez(folder / f"{index:04d}.npz", allow_pickle=False, tensor=np.array(tensor), **arrays)


def load(folder: Path) -> dict[str, Statistics]:
    """What `save` wrote, in the same order."""
    found = {}
    for path in sorted(folder.glob("[0-9]*.npz")):
        values: dict[str, Any] = {name: array if array.ndim else array.item() for name, array in _read(path).items()}
        tensor = values.pop("tensor")
        found[tensor] = Statistics(**values)
    return found


def _sum(gram: np.ndarray | None, values: np.ndarray) -> np.ndarray:
    rows = values.reshape(-1, values.shape[-1])
    product = rows.T @ rows
    return product if gram is None else np.add(gram, product, out=gram)


def _require_known(model: onnx.ModelProto, tensors: Sequence[str], program: Path) -> None:
    known = {name for node in model.graph.node for name in node.output} | {v.name for v in model.graph.input}
    if missing := [name for name in tensors if name not in known]:
        raise ValueError(f"{program}: no tensor {', '.join(missing)}")


def _sizes(model: onnx.ModelProto, folder: Path, tensors: Sequence[str], shard: Path, threads: int) -> dict[str, int]:
    """Elements of each tensor on a shard, in the order in which the program makes them."""
    order = [v.name for v in model.graph.input] + [name for node in model.graph.node for name in node.output]
    names = [name for name in dict.fromkeys(order) if name in set(tensors)]
    measured = onnx.ModelProto()
    measured.CopyFrom(model)
    measured.graph.node.extend(helper.make_node("Size", [name], [f"{name}/size"]) for name in names)
    run = _runner(measured, folder, [f"{name}/size" for name in names], threads)
    return {name.removesuffix("/size"): int(size) for name, size in run(_read(shard))}


def _groups(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Neighbours together as long as they stay below the bound."""
    group: list[str] = []
    for name, size in sizes.items():
        if group and 4 * (size + sum(sizes[other] for other in group)) > OUTPUT_BYTES:
            yield group
            group = []
        group.append(name)
    if group:
        yield group


def _runner(
    model: onnx.ModelProto, folder: Path, tensors: list[str], threads: int
) -> Callable[[Arrays], Iterator[tuple[str, np.ndarray]]]:
    """A function from inputs to these tensors, one after the other. External weights are read from `folder`."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads_to_use(threads)
    options.log_severity_level = 3
    # The default order would leave the sizes to the end, and every measured tensor in memory until then.
    options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    inputs = [value.name for value in model.graph.input]
    content = _part(model, tensors).SerializeToString()
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(arrays: Arrays) -> Iterator[tuple[str, np.ndarray]]:
        values = session.run(tensors, {name: arrays[name] for name in inputs})
        for name in tensors:
            yield name, values.pop(0)

    return run


def _part(model: onnx.ModelProto, outputs: list[str]) -> onnx.ModelProto:
    """The nodes that these outputs need: ONNX Runtime would run the others too."""
    part = onnx.ModelProto()
    part.CopyFrom(model)
    needed, kept = set(outputs), []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            needed.update(node.input)
            kept.append(node)
    del part.graph.node[:], part.graph.output[:]
    part.graph.node.extend(reversed(kept))
    part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    return part


def _read(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _require_finite(values: np.ndarray, tensor: str, shard: Path, prompts: list[str]) -> None:
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
