"""Does a recipe fit a target? Asked before anything heavy runs, and by the table of all recipes and targets."""

from __future__ import annotations

from exporter.errors import RecipeError
from exporter.quantize.policy import PRECISIONS_LOWEST_FIRST
from exporter.recipe import Recipe
from exporter.target import Target


def misfits(recipe: Recipe, target: Target) -> dict[str, str]:
    """What a target cannot take of a recipe, each with the reason; empty when it takes all of it."""
    found: dict[str, str] = {}
    for precision in PRECISIONS_LOWEST_FIRST:
        if precision in recipe.precisions and (reason := target.reason_against(precision)):
            found[precision] = reason
    return found


def require_fit(recipe: Recipe, target: Target) -> None:
    """Raises RecipeError that tells each precision that a target refuses, and why."""
    found = misfits(recipe, target)
    if found:
        reasons = "; ".join(f"{precision}: {reason}" for precision, reason in found.items())
        raise RecipeError(
            f"recipe '{recipe.name}' has layers in {', '.join(found)}, which target '{target.name}' lacks ({reasons}); "
            f"it has {', '.join(target.precisions)}"
        )
