"""The quality of a generator on prompts: does it make what was asked, and where much is left open, real objects?

Everything is per object, so that two generators on the same prompts and seeds can be compared pair by pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporter.runtime.run import Programs
from validate.judge.clip import Evaluator
from validate.judge.judge_errors import PromptsError
from validate.judge.prompts import Prompt
from validate.judge.rprecision import Retrieval, retrieve
from validate.judge.under_specified import best_cosine, consistent, consistent_captions, diversity
from validate.objects.objects import Objects, Progress, Views, make_objects


@dataclass(frozen=True)
class CaptionSet:
    """The captions [m] a judge chooses from, with their embeddings [m, d]."""

    prompts: tuple[Prompt, ...]
    embeddings: NDArray[np.float32]

    @classmethod
    def embed(cls, prompts: Sequence[Prompt], evaluator: Evaluator) -> CaptionSet:
        return cls(tuple(prompts), evaluator.embed_texts([prompt.text for prompt in prompts]))

    def index(self, prompts: Sequence[Prompt]) -> NDArray[np.int64]:
        """The place of each prompt among the captions. Raises PromptsError for a prompt that is not one of them."""
        place = {caption.text: index for index, caption in enumerate(self.prompts)}
        missing = [prompt.text for prompt in prompts if prompt.text not in place]
        if missing:
            raise PromptsError(f"{missing[0]!r} is not among the {len(place)} captions that retrieval chooses from")
        return np.array([place[prompt.text] for prompt in prompts], dtype=np.int64)

    def first(self, count: int) -> CaptionSet:
        """The small caption set of the first `count` captions."""
        return CaptionSet(self.prompts[:count], self.embeddings[:count])


@dataclass(frozen=True)
class UnderSpecified:
    """Diversity per prompt with two or more seeds; sharpness, best cosine and consistency per object."""

    prompt: NDArray[np.int64]
    diversity: NDArray[np.float64]
    sharpness: NDArray[np.float64]
    best_cosine: NDArray[np.float64]
    consistent: NDArray[np.bool_]


def score(
    programs: Programs,
    prompts: Sequence[Prompt],
    captions: CaptionSet,
    evaluator: Evaluator,
    *,
    seeds: int = 1,
    views: Views | None = None,
    batch: int = 32,
    workers: int = 0,
    progress: Progress | None = None,
) -> tuple[Objects, Retrieval]:
    """Make `seeds` objects of every fully specified prompt and retrieve their captions (CLIP-R-Precision)."""
    given = [prompt.given for prompt in prompts]
    objects = make_objects(
        programs, given, evaluator, seeds=seeds, views=views, batch=batch, workers=workers, progress=progress
    )
    return objects, retrieve_captions(objects, prompts, captions)


def retrieve_captions(objects: Objects, prompts: Sequence[Prompt], captions: CaptionSet) -> Retrieval:
    """CLIP-R-Precision of objects made from `prompts` among `captions`."""
    own = captions.index(prompts)[objects.prompt]
    return retrieve(objects.embeddings, captions.embeddings, own, empty=objects.empty)


def measure_under_specified(objects: Objects, prompts: Sequence[Prompt], captions: CaptionSet) -> UnderSpecified:
    """The measures of objects made from under-specified `prompts`; an object without surface is not consistent."""
    spread = []
    cosine, kept = np.zeros(len(objects.prompt)), np.zeros(len(objects.prompt), dtype=bool)
    for index, prompt in enumerate(prompts):
        rows = np.flatnonzero(objects.prompt == index)
        own = objects.embeddings[rows]
        allowed = consistent_captions(prompt, captions.prompts)
        if not allowed.any():
            raise PromptsError(f"no fully specified caption is consistent with {prompt.text!r}")
        cosine[rows] = best_cosine(own, captions.embeddings, allowed)
        kept[rows] = consistent(own, captions.embeddings, allowed) & ~objects.empty[rows]
        if len(rows) > 1:
            spread.append(diversity(own))
    return UnderSpecified(objects.prompt, np.array(spread), objects.sharpness, cosine, kept)
