"""The float programs of a bundle that was built here, exported again from its recipe without quantization."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from exporter.errors import BundleError, WeightsError
from exporter.files.cache import Cache
from exporter.graphs.program_files import PROGRAM, copy_program
from exporter.machine.meter import Progress
from exporter.manifest import Manifest
from exporter.recipe.recipe import Recipe
from exporter.targets.target import Target
from exporter.workshop.onnx_program import onnx_programs
from exporter.workshop.workshop import Workshop
from validate.objects.moved_weights import telling_where_they_were

FLOAT_STEPS = ("trace", "unroll")


class RebuiltPrograms:
    """By stage, the float program and whether the bundle's is quantized."""

    def __init__(self, folder: Path, workshop: Workshop) -> None:
        self.folder = folder
        self._workshop = workshop
        made = onnx_programs(workshop.model, workshop.recipe, workshop.tables, lambda p, _, f: copy_program(p, f), None)
        self._programs = {program.name: program for program in made}

    @classmethod
    def open(
        cls, folder: Path, manifest: Manifest, cache: Cache, progress: Progress, weights: str | None
    ) -> RebuiltPrograms:
        """Raises BundleError for a recipe that cannot be read, WeightsError for other weights than the bundle's."""
        try:
            recipe, target = Recipe.model_validate(manifest.recipe), Target.model_validate(manifest.target)
        except ValidationError as error:
            raise BundleError(f"{folder}: this t3export cannot read its recipe or target: {error}") from None
        source = weights or manifest.weights.source
        recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"weights": source})})
        with telling_where_they_were(source, weights):
            workshop = Workshop.open(recipe, target, cache, progress)
        if workshop.model.weights_digest != manifest.weights.digest:
            raise WeightsError(f"{source}: not the weights of this bundle; point --weights at its own")
        return cls(folder, workshop)

    def program(self, stage: str) -> tuple[Path, bool]:
        """Raises BundleError where the recipe makes no such program."""
        if stage not in self._programs:
            raise BundleError(f"{self.folder}: its recipe makes no '{stage}'; build the bundle again")
        program, entry = self._programs[stage], None
        for transform in program.transforms(self._workshop.target):
            if transform.step in FLOAT_STEPS:
                entry = self._workshop.transform(transform, program.name, entry)
        assert entry is not None
        return entry.folder / PROGRAM, bool(program.source.quantization.policy.rules)
