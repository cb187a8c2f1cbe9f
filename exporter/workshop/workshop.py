"""What all steps of one build share: the recipe, the target, the loaded model, and the cache that remembers steps."""

from __future__ import annotations

import gc
import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from exporter.families.family import Model
from exporter.families.registry import load_model
from exporter.files.atomic import sha256_of
from exporter.files.cache import Cache, Entry
from exporter.files.transform import Transform
from exporter.machine.meter import Progress, StepRecord, metered
from exporter.pipeline.pipeline import Pipeline
from exporter.recipe.fit import Misfit, parts_of, require_fit
from exporter.recipe.policy import Precision
from exporter.recipe.recipe import Recipe
from exporter.sampling.table import table_of
from exporter.targets.target import Target
from exporter.workshop.calibration import objects_of
from exporter.workshop.calibration import record as record_calibration
from exporter.workshop.goldens import limit_db
from exporter.workshop.goldens import record as record_goldens
from exporter.workshop.sources import Tables

OnAdvance = Callable[[int, int], None]


@dataclass
class Workshop:
    """Runs the steps of one build, each measured, and none twice. `steps`: what was run so far, in order."""

    recipe: Recipe
    target: Target
    model: Model
    cache: Cache
    progress: Progress
    steps: list[StepRecord] = field(default_factory=list)

    @classmethod
    def open(cls, recipe: Recipe, target: Target, cache: Cache, progress: Progress) -> Workshop:
        """With the weights of the recipe's model loaded. Raises WeightsError, RecipeError for a pipeline that does not
        hang together, and Misfit for a recipe that is not for such a pipeline."""
        steps: list[StepRecord] = []
        with metered("load weights", progress, steps):
            model = load_model(recipe.model.family, recipe.weights, **recipe.model_settings)
        workshop = cls(recipe, target, model, cache, progress, steps)
        workshop.pipeline.require_sound()
        require_fit(recipe, parts_of(workshop.pipeline), workshop._sampled)
        return workshop

    @property
    def model_inputs(self) -> dict[str, Any]:
        """What every step depends on: the weights, and the family's own source, which may lie outside the exporter."""
        source = Path(inspect.getfile(type(self.model)))
        return {
            "family": self.recipe.model.family,
            "family_source": hashlib.sha256(source.read_bytes()).hexdigest(),
            "weights": self.model.weights_digest,
        }

    def step(self, name: str, inputs: Mapping[str, Any], make: Callable[[Path], object]) -> Entry:
        """The result of one step, made by `make(folder)` unless the cache has it."""
        with metered(name, self.progress, self.steps) as record:
            entry, record.cached = self.cache.get(name, {**self.model_inputs, **inputs}, make)
        if not record.cached:
            # Traced modules hang in cycles: the next step must not find the last one's weights in memory.
            gc.collect()
        return entry

    def transform(self, transform: Transform, program: str, before: Entry | None) -> Entry:
        """The result of one step in the making of a program."""
        inputs = {**transform.inputs, "before": before.key if before else None}
        folder = before.folder if before else None
        return self.step(f"{transform.step} {program}", inputs, lambda out: transform.run(folder, out))

    @cached_property
    def pipeline(self) -> Pipeline:
        """What the model is, with this recipe's settings."""
        return self.model.pipeline(self.recipe)

    @cached_property
    def tables(self) -> Tables:
        """By stage of kind sample, the coefficients of the recipe's scheduler on the model's own noise levels."""
        return {stage: table_of(self.recipe.sampler_of(stage), self.model.scheduler(stage)) for stage in self._sampled}

    def goldens(self) -> Entry:
        """The recorded inputs and outputs that travel with the bundle."""
        recipe = self.recipe
        inputs = self._settings | {
            "goldens": recipe.goldens.model_dump(),
            **self._pictures(recipe.goldens.prompts, "goldens"),
        }
        name = "record goldens"
        return self.step(name, inputs, lambda folder: record_goldens(self.model, recipe, folder, self._advances(name)))

    def calibration(self) -> Entry:
        """The inputs that quantization takes its ranges from."""
        recipe, settings = self.recipe, self.recipe.quantization.calibration
        recorded = settings.model_dump(exclude={"observer", "grid", "percentile"})
        read = {"tokenizer": recipe.tokenizer.model_dump()}
        inputs = read | recipe.sampler_data() | {"calibration": recorded}
        if self.pipeline.pictures:
            inputs |= self._pictures(objects_of(self.pipeline, recipe), "quantization", "calibration")
        name = "record calibration"
        return self.step(
            name, inputs, lambda folder: record_calibration(self.model, recipe, folder, self._advances(name))
        )

    def limit_db(self, stage: str, precision: Precision) -> float:
        """The least SNR of a stage's program on its goldens."""
        is_whole_sampler = stage in self._sampled and self.recipe.sampler_of(stage).unroll != "step"
        return limit_db(is_whole_sampler, self.recipe.validation.tolerances[precision])

    @property
    def _sampled(self) -> list[str]:
        return self.pipeline.of_kind("sample")

    @property
    def _settings(self) -> dict[str, Any]:
        read = {"tokenizer": self.recipe.tokenizer.model_dump()}
        render = {"render": self.recipe.render.model_dump(exclude={"size"})}
        return read | self.recipe.sampler_data() | render

    def _pictures(self, prompts: Sequence[str], *section: str) -> dict[str, Any]:
        """The digests of the pictures that a section names, where the pipeline takes pictures. Raises Misfit."""
        if not self.pipeline.pictures:
            return {}
        paths = [self.recipe.folder / prompt for prompt in prompts]
        missing = [k for k, path in enumerate(paths) if not path.is_file()]
        if missing:
            raise Misfit([((*section, "prompts", k), f"there is no picture {paths[k]}") for k in missing])
        return {"pictures": [sha256_of(path) for path in paths]}

    def _advances(self, name: str) -> OnAdvance:
        return lambda done, total: self.progress.advanced(name, done, total)
