"""Many objects of one pipeline, a few at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from exporter.pipeline.pipeline import Pipeline
from exporter.pipeline.tensor import BATCH
from exporter.runtime.run import Programs, Request, Run, make

MOST_AT_ONCE = 16
NUMBERS_AT_ONCE = 1 << 20


def batch_size(pipeline: Pipeline) -> int:
    """How many objects to sample together: 16 small ones, one of Shap-E's full size."""
    latents = [pipeline.stages[name].makes[0] for name in pipeline.of_kind("sample")]
    largest = max((math.prod(spec.sized({BATCH: 1})) for spec in latents), default=1)
    return max(1, min(MOST_AT_ONCE, NUMBERS_AT_ONCE // largest))


def made_objects(
    programs: Programs,
    requests: Sequence[Request],
    seeds: Sequence[int],
    on_evaluation: Callable[[int], None] | None = None,
    others: Mapping[str, Sequence[Request]] | None = None,
) -> Iterator[Run]:
    """A run of each object, in order, its latents made together with others'.

    Encoders of texts, which are small, take 16 at once however large the latents are: where programs are opened anew
    for want of memory, theirs are opened once for all of these. `others`: by the name of another set of conditions, a
    request an object. `on_evaluation(objects)` gets after every evaluation of a sampler how many objects it moved on.
    """
    size = batch_size(programs.pipeline)

    def report(step: int, sample: np.ndarray, prediction: np.ndarray) -> None:
        if on_evaluation:
            on_evaluation(len(sample))

    for start in range(0, len(requests), MOST_AT_ONCE):
        several = slice(start, start + MOST_AT_ONCE)
        besides = {name: given[several] for name, given in (others or {}).items()}
        for part in make(programs, requests[several], seeds[several], report, besides).encode_texts().parts(size):
            yield from part.sample().objects()
