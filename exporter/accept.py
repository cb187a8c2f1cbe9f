"""Does a target take a recipe? Known before anything is loaded, and told for all recipes and targets in one table."""

from __future__ import annotations

from exporter.errors import RecipeError
from exporter.quantize.policy import PRECISIONS_LOWEST_FIRST
from exporter.recipe import Recipe
from exporter.target import NOT_OFFERED, Target


def misfits(recipe: Recipe, target: Target) -> dict[str, str]:
    """What a target refuses of a recipe, precisions first, each with the reason; empty when it takes all of it."""
    found: dict[str, str] = {}
    for precision in PRECISIONS_LOWEST_FIRST:
        if precision in recipe.precisions and (reason := target.reason_against(precision)):
            found[precision] = reason
    for setting, reason in target.refused.items():
        field, is_setting, value = setting.partition("=")
        if is_setting and str(_value(recipe, field)) == value:
            found[setting] = reason
    if target.rendering not in recipe.validation.tolerances:
        found[f"validation.tolerances.{target.rendering}"] = (
            f"missing: what is not quantized is {target.rendering} there, and has to be judged by it"
        )
    return found


def require_accepted(recipe: Recipe, target: Target) -> None:
    """Raises RecipeError that tells each precision and setting that a target refuses of a recipe, and why."""
    found = misfits(recipe, target)
    lacking = [name for name in found if name in recipe.precisions]
    if lacking:
        known = "; ".join(f"{name}: {found[name]}" for name in lacking if found[name] != NOT_OFFERED)
        raise RecipeError(
            f"recipe '{recipe.name}' has layers in {', '.join(sorted(lacking))}, which target '{target.name}' lacks; "
            f"it has {', '.join(target.precisions)}" + (f" ({known})" if known else "")
        )
    if found:
        lines = (
            f"{name.replace('=', ': ')} is refused for target '{target.name}': {why}" for name, why in found.items()
        )
        raise RecipeError("\n".join(lines))


def _value(recipe: Recipe, field: str) -> object:
    value: object = recipe.data()
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
