"""Does a recipe say what a pipeline needs, and nothing about what the pipeline has not?"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from exporter.errors import RecipeError, did_you_mean
from exporter.pipeline.pipeline import Pipeline
from exporter.recipe.document import Document, Location
from exporter.recipe.recipe import Recipe
from exporter.recipe.validation_section import Tolerances

# By section the part of a pipeline that it is about, and by tolerance the parts, one of which is enough: a kind of
# stage, or a kind of asset.
SECTIONS = {"tokenizer": "text", "sampler": "sample", "samplers": "sample", "mesh": "mesh", "render": "render"}
TOLERANCES = {
    "trajectory_snr_db": ("sample",),
    "latents_relative_l2": ("sample",),
    "latents_forks": ("sample",),
    "mesh_iou": ("mesh",),
    "chamfer": ("mesh", "points"),
    "render_psnr_db": ("image", "points"),
}
LACKS = {
    "sample": "no stage of this pipeline samples",
    "mesh": "this pipeline makes no mesh",
    "render": "no stage of this pipeline renders",
    "image": "this pipeline makes no image",
    "text": "this pipeline reads no prompts",
    "inputs": "this pipeline takes nothing from outside",
}


class Misfit(RecipeError):
    """Fields that a pipeline needs and the recipe lacks, or the other way round; `fields`: where, and what is wrong."""

    def __init__(self, fields: list[tuple[Location, str]]) -> None:
        super().__init__("\n".join(f"{_name(location)}: {told}" for location, told in fields))
        self.fields = fields

    def placed(self, document: Document) -> RecipeError:
        """The same error with the file and line of every field."""
        return RecipeError(
            "\n".join(f"{document.place(location)}: {_name(location)}: {told}" for location, told in self.fields)
        )


def parts_of(pipeline: Pipeline) -> set[str]:
    """What a recipe may have sections for: the kinds of stages and of assets, whether inputs are taken, and texts."""
    kinds = {stage.kind for stage in pipeline.stages.values()} | {asset.kind for asset in pipeline.assets.values()}
    return kinds | ({"inputs"} if pipeline.inputs else set()) | ({"text"} if pipeline.texts else set())


def require_fit(recipe: Recipe, parts: Collection[str], sampled: Collection[str] | None = None) -> None:
    """Raises Misfit for what a recipe lacks, or says too much, about a pipeline that has these parts.

    `sampled`: the names of its stages that sample, where they are known.
    """
    found = list(_misfits(recipe, parts))
    if "sample" in parts:
        found += _sampler_misfits(recipe, sampled)
    if found:
        raise Misfit(found)


def fitted_data(recipe: Recipe, pipeline: Pipeline) -> dict[str, Any]:
    """The resolved recipe as JSON data, without the sections about what the pipeline has not."""
    parts = parts_of(pipeline)
    return {name: value for name, value in recipe.data().items() if SECTIONS.get(name, "") in ("", *parts)}


def _misfits(recipe: Recipe, parts: Collection[str]) -> Iterator[tuple[Location, str]]:
    given = {name for name in SECTIONS if name in recipe.model_fields_set and getattr(recipe, name)}
    for name in sorted(given):
        if SECTIONS[name] not in parts:
            yield (name,), f"{LACKS[SECTIONS[name]]}; leave this section out"
    for name in ("sampler", "samplers"):
        if "sample" not in parts and getattr(recipe.validation, name):
            yield ("validation", name), f"{LACKS['sample']}; leave this section out"
    if "inputs" in parts and not recipe.goldens.prompts:
        yield ("goldens", "prompts"), _required(type(recipe.goldens).model_fields["prompts"].description)
    if "inputs" not in parts and recipe.goldens.prompts:
        yield ("goldens", "prompts"), f"{LACKS['inputs']}; leave this field out"
    for precision, tolerances in recipe.validation.tolerances.items():
        for name, about in TOLERANCES.items():
            at = ("validation", "tolerances", precision, name)
            value, field = getattr(tolerances, name), Tolerances.model_fields[name]
            has = any(part in parts for part in about)
            if has and value is None:
                yield at, _required(field.description)
            if not has and value != field.default:
                yield at, f"{LACKS[about[0]]}; leave this field out"


def _sampler_misfits(recipe: Recipe, sampled: Collection[str] | None) -> Iterator[tuple[Location, str]]:
    without = [] if recipe.sampler else [stage for stage in sampled or () if stage not in recipe.samplers]
    if without or not (recipe.sampler or recipe.samplers):
        yield ("sampler",), _required(Recipe.model_fields["sampler"].description)
    if sampled is None:
        return
    for at, samplers in ((("samplers",), recipe.samplers), (("validation", "samplers"), recipe.validation.samplers)):
        for name in samplers:
            if name not in sampled:
                yield (*at, name), f"no stage of that name samples; {did_you_mean(name, sampled)}"


def _required(description: str | None) -> str:
    return f"this field is required ({description})"


def _name(location: Location) -> str:
    return ".".join(map(str, location))
