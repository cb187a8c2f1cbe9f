"""CLIP-R-Precision of a row, with its paired test against the original on the same prompts, seeds and judge."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from exporter.files.cache import Cache
from exporter.runtime.run import Programs
from validate.judge.rprecision import Retrieval, compare_runs
from validate.ladder.context import QualityPlan
from validate.ladder.rungs.quality import SMALL_SET
from validate.objects.judged import CaptionSet, retrieve_captions
from validate.objects.memory import ObjectMemory
from validate.objects.objects import Objects, make_objects
from validate.table.table_result import Rate

OnObject = Callable[[int, int], None]


class TableJudge:
    """Makes and scores the objects of a plan; objects that were made before come from the cache."""

    def __init__(self, plan: QualityPlan, reference: Programs, memory: ObjectMemory, cache: Cache) -> None:
        self.plan = plan
        self.reference = reference
        self.memory = memory
        self.cache = cache
        self.given = [prompt.given for prompt in plan.prompts]

    def original(self, on_object: OnObject) -> list[Rate]:
        """The original's rates among the small and among all captions."""
        self._of_original = self._retrievals(self.reference, self.memory, on_object)
        return [_rate(found, captions) for found, captions in zip(self._of_original, self._caption_sets, strict=True)]

    def rates(self, side: Programs, digest: str, on_object: OnObject) -> list[Rate]:
        """The rates of another side, known by its digest, paired with the original's."""
        own = self._retrievals(side, ObjectMemory(self.cache, {"bundle": digest}), on_object)
        return [_rate(*sets, self._groups) for sets in zip(own, self._caption_sets, self._of_original, strict=True)]

    @cached_property
    def _of_original(self) -> list[Retrieval]:
        return self._retrievals(self.reference, self.memory, lambda done, total: None)

    @cached_property
    def _caption_sets(self) -> list[CaptionSet]:
        """The small set and, where there are more captions, all of them."""
        everything = CaptionSet.embed(self.plan.captions, self.plan.evaluator)
        small = max(SMALL_SET, len(self.given))
        return [everything.first(small), everything] if small < len(everything.prompts) else [everything]

    @property
    def _groups(self) -> list[str]:
        """The prompt of each object."""
        return [given for given in self.given for _ in range(self.plan.seeds)]

    def _retrievals(self, side: Programs, memory: ObjectMemory, on_object: OnObject) -> list[Retrieval]:
        plan = self.plan

        def make() -> Objects:
            return make_objects(
                side,
                self.given,
                plan.evaluator,
                seeds=plan.seeds,
                views=plan.views,
                batch=plan.batch,
                workers=plan.workers,
                progress=lambda _, done, total: on_object(done, total),
            )

        objects = memory.recall(plan.prompts, plan.seeds, plan.views, plan.evaluator.digest, make)
        return [retrieve_captions(objects, plan.prompts, captions) for captions in self._caption_sets]


def _rate(
    own: Retrieval, captions: CaptionSet, original: Retrieval | None = None, groups: list[str] | None = None
) -> Rate:
    p_value = compare_runs(original.hits, own.hits, groups=groups).p_value if original else None
    low, high = (100 * bound for bound in (own.interval.low, own.interval.high))
    return Rate(100 * own.rate, low, high, len(captions.prompts), p_value)
