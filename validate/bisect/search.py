"""The first tensor that breaks a stage, and the smallest part of the program that does it.

Up to a cut the bundle's program runs, from there on the float program: the first cut at which the stage misses its
tolerance names the tensor to blame. That asks what a tensor does to the outputs; its own distance alone would blame
healthy tensors in whose place the stage hardly feels an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx

from exporter.workshop.parity import compare
from validate.bisect.graphs import Arrays, between, input_names, run
from validate.bisect.pair import ProgramPair, comparable


@dataclass(frozen=True)
class Culprit:
    """What was found. `tensor`: the first one that breaks the stage; `nodes` of the bundle lead to it from `inputs`.

    `alone_db`: SNR of the tensor when that part is given exact inputs; `total_db`: with all the error before it;
    `outputs_db`: of the stage's worst output as the bundle makes it.
    """

    stage: str
    tensor: str
    part: onnx.ModelProto
    inputs: Arrays
    expected: np.ndarray
    alone_db: float
    total_db: float
    outputs_db: float
    limit_db: float

    @property
    def nodes(self) -> list[str]:
        """Names of the part's nodes, in order."""
        return [node.name for node in self.part.graph.node]


class Search:
    """One stage on one recording."""

    def __init__(self, pair: ProgramPair, inputs: Arrays, limit_db: float, tell: Callable[[str], None]) -> None:
        self.pair, self.limit_db, self.tell = pair, limit_db, tell
        fed = {value.name: inputs[value.name] for value in pair.bundle.graph.input}
        wanted = [*pair.shared, *pair.outputs]
        self.theirs, self.ours = run(pair.original, fed, wanted), run(pair.bundle, fed, wanted)
        self.fed = fed
        self.tensors = comparable(pair, self.ours, self.theirs)

    @property
    def outputs_db(self) -> float:
        """SNR of the worst output as the bundle makes it, against the float program's."""
        return self._worst(self.ours)

    def find(self) -> Culprit | None:
        """The culprit; none when the stage keeps its tolerance."""
        if self.outputs_db >= self.limit_db:
            return None
        place = first(lambda cut: self._breaks_after(cut + 1), 0, len(self.tensors) - 1)
        return self._smallest(place)

    def _breaks_after(self, cut: int) -> bool:
        """Whether the stage misses when the float program goes on from the first `cut` tensors of the bundle."""
        known = self.fed | {name: self.ours[name] for name in self.tensors[:cut]}
        rest = [name for name in self.pair.outputs if name not in known]
        found = {name: known[name] for name in self.pair.outputs if name in known}
        if rest:
            part = between(self.pair.original, known, rest)
            found |= run(part, known, rest)
        self.tell(f"{self.pair.stage}: {cut} of {len(self.tensors)} tensors from the bundle")
        return self._worst(found) < self.limit_db

    def _smallest(self, place: int) -> Culprit:
        """The part from the latest cut that misses at the tensor with exact inputs, else the tensor's own nodes."""
        tensor = self.tensors[place]
        cut, step = place, 1
        part, alone = self._alone(cut, tensor)
        while alone >= self.limit_db and cut > 0:
            cut, step = max(0, cut - step), step * 2
            part, alone = self._alone(cut, tensor)
        if alone >= self.limit_db:
            part, alone = self._alone(place, tensor)
        elif cut < place:
            cut = place - first(lambda back: self._alone(place - back, tensor)[1] < self.limit_db, 0, place - cut)
            part, alone = self._alone(cut, tensor)
        exact = self.fed | self.theirs
        total = compare(self.theirs[tensor], self.ours[tensor]).snr_db
        inputs = {name: exact[name] for name in input_names(part)}
        return Culprit(
            self.pair.stage, tensor, part, inputs, self.theirs[tensor], alone, total, self.outputs_db, self.limit_db
        )

    def _alone(self, cut: int, tensor: str) -> tuple[onnx.ModelProto, float]:
        """The bundle's nodes from the first `cut` tensors to this one, and what is left of it with these exact."""
        known = self.fed | {name: self.theirs[name] for name in self.tensors[:cut]}
        part = between(self.pair.bundle, known, [tensor])
        return part, compare(self.theirs[tensor], run(part, known, [tensor])[tensor]).snr_db

    def _worst(self, found: Arrays) -> float:
        return min(compare(self.theirs[name], found[name]).snr_db for name in self.pair.outputs)


def first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The least number in [low, high] from which on `holds` is true, by bisection; it holds for `high`."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
