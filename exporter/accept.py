"""Does a target take a recipe? Known before anything is loaded."""

from __future__ import annotations

from exporter.errors import RecipeError
from exporter.recipe import Recipe
from exporter.target import Target


def require_accepted(recipe: Recipe, target: Target) -> None:
    """Raises RecipeError for a precision that the target lacks, a setting it refuses, or a missing tolerance."""
    lacking = recipe.precisions - set(target.precisions)
    if lacking:
        raise RecipeError(
            f"recipe '{recipe.name}' has layers in {', '.join(sorted(lacking))}, which target '{target.name}' lacks; "
            f"it has {', '.join(target.precisions)}"
        )
    for setting, why in target.refused.items():
        field, _, value = setting.partition("=")
        if str(_value(recipe, field)) == value:
            raise RecipeError(f"{field}: {value} is refused for target '{target.name}': {why}")
    if target.rendering not in recipe.validation.tolerances:
        raise RecipeError(
            f"target '{target.name}' keeps what is not quantized in {target.rendering}, and recipe '{recipe.name}' has "
            f"no validation.tolerances.{target.rendering} to judge that by"
        )


def _value(recipe: Recipe, field: str) -> object:
    value: object = recipe.data()
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
