"""The steps between a traced program and a quantized one: smooth, observe, quantize."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from exporter.files.cache import Entry
from exporter.files.recorded import recorded_of
from exporter.files.transform import Transform
from exporter.graphs.program_files import PROGRAM, copy_program
from exporter.quantize.collect import collect
from exporter.quantize.prepared import prepared
from exporter.quantize.quantizer import Observer, quantize, wanted
from exporter.quantize.smooth_program import smooth_program
from exporter.quantize.statistics import load, save
from exporter.recipe.policy import Policy, Rendering, not_calibrated
from exporter.recipe.quantization_section import QuantizationSection

STATISTICS = "statistics"


@dataclass(frozen=True)
class Quantization:
    """How one stage is quantized. `calibration`: the recorded inputs, where the policy needs any.

    `guidance_scale`: of a stage of kind sample.
    """

    stage: str
    settings: QuantizationSection
    calibration: Entry | None
    guidance_scale: float | None

    @cached_property
    def policy(self) -> Policy:
        """The rules that may match layers of this stage."""
        return Policy(rules=[rule for rule in self.settings.rules if rule.may_speak_of(self.stage)])

    def transforms(self, rendering: Rendering) -> Iterator[Transform]:
        """The steps after tracing, for a target of this rendering; none where no rule matches this stage."""
        if not self.policy.rules:
            return
        rules = {"rules": [rule.model_dump(exclude={"why"}) for rule in self.policy.rules]}
        if self.policy.calibrated:
            seen = {"calibration": self.calibration.key if self.calibration else None, "objective": self._objective}
            if self.settings.smooth != "none" and "int8" in self.policy.precisions:
                yield Transform("smooth", rules | seen | {"smooth": self.settings.smooth}, self._smooth)
            yield Transform("observe", rules | seen, self._observe)
        observer = self.settings.calibration.model_dump(include={"observer", "grid", "percentile"})
        yield Transform("quantize", rules | observer | {"rendering": rendering}, partial(self._quantize, rendering))

    @property
    def _objective(self) -> float | None:
        """The guidance scale, where errors of the guided output count."""
        return self.guidance_scale if self.settings.objective == "guided" else None

    @property
    def shards(self) -> list[Path]:
        """The recorded inputs of this stage, in order."""
        return recorded_of(self.calibration.folder, self.stage) if self.calibration else []

    def _smooth(self, before: Path | None, folder: Path) -> None:
        assert before is not None
        if not self.shards:
            # There is nothing to be smoothed by; the next step says whether anything has to be observed.
            copy_program(before / PROGRAM, folder)
            return
        alpha = self.settings.smooth
        assert alpha != "none"
        smooth_program(before / PROGRAM, self.policy, alpha, self.shards, self._objective, folder)

    def _observe(self, before: Path | None, folder: Path) -> None:
        assert before is not None
        needs = wanted(prepared(before / PROGRAM), self.policy)
        if needs.tensors and not self.shards:
            raise not_calibrated(f"{self.stage}/*", self.stage)
        found = collect(before / PROGRAM, needs.tensors, self.shards, grams=needs.grams, guidance_scale=self._objective)
        save(found, folder / STATISTICS)
        copy_program(before / PROGRAM, folder)

    def _quantize(self, rendering: Rendering, before: Path | None, folder: Path) -> None:
        assert before is not None
        known = load(before / STATISTICS)
        observer = Observer.of(self.settings.calibration)
        quantize(before / PROGRAM, self.policy, known, observer, folder, rendering)
