"""Does a target take a recipe? Known before anything is loaded, and told for all recipes and targets in one table."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

from exporter.errors import RecipeError
from exporter.recipe.policy import PRECISIONS_LOWEST_FIRST, Rule
from exporter.recipe.recipe import Recipe
from exporter.targets.target import NOT_OFFERED, Target


def misfits(recipe: Recipe, target: Target) -> dict[str, str]:
    """What a target refuses of a recipe, precisions first, each with the reason; empty when it takes all of it."""
    found: dict[str, str] = {}
    for precision in PRECISIONS_LOWEST_FIRST:
        if precision in recipe.precisions and (reason := target.reason_against(precision)):
            found[precision] = reason
    for said, reason in target.refused.items():
        if "=" in said and _asks_for(recipe, said):
            found[said] = reason
    if target.unquantized not in recipe.validation.tolerances:
        found[f"validation.tolerances.{target.unquantized}"] = (
            f"missing: what is not quantized is {target.unquantized} there, and has to be judged by it"
        )
    return found


def require_accepted(recipe: Recipe, target: Target) -> None:
    """Raises RecipeError that tells each precision and setting that a target refuses of a recipe, and why."""
    found = misfits(recipe, target)
    lacking = [name for name in found if name in recipe.precisions]
    lines = []
    if lacking:
        known = "; ".join(f"{name}: {found[name]}" for name in lacking if found[name] != NOT_OFFERED)
        lines.append(
            f"recipe '{recipe.name}' has layers in {', '.join(sorted(lacking))}, which target '{target.name}' lacks; "
            f"it has {', '.join(target.precisions)}" + (f" ({known})" if known else "")
        )
    lines += [
        f"{name.replace('=', ': ')} is refused for target '{target.name}': {why}"
        for name, why in found.items()
        if name not in lacking
    ]
    if lines:
        raise RecipeError("\n".join(lines))


def fitted(recipe: Recipe, target: Target) -> tuple[Recipe, list[str]]:
    """The recipe without what a target leaves out of it, and what is to be told of that."""
    told = []
    for said, reason in target.left_out.items():
        if _asks_for(recipe, said):
            recipe = _without(recipe, said)
            told.append(f"{said.partition('=')[0]} is left out for target '{target.name}': {reason}")
    return recipe, told


def _asks_for(recipe: Recipe, said: str) -> bool:
    """Whether a recipe has a setting, as 'sampler.unroll=loop', or a rule with a field, as 'operator=table'."""
    field, _, pattern = said.partition("=")
    if field in Rule.model_fields:
        return any(map(_rules_with(said), recipe.quantization.rules))
    if field.startswith("quantization.calibration.") and not recipe.quantization.table.calibrated:
        return False
    return fnmatchcase(str(_value(recipe, field)), pattern)


def _rules_with(said: str) -> Callable[[Rule], bool]:
    field, _, pattern = said.partition("=")
    return lambda rule: rule.precision != "fp32" and fnmatchcase(str(getattr(rule, field)), pattern)


def _without(recipe: Recipe, said: str) -> Recipe:
    """Without the rules that have a field, or with a setting of a section at its default."""
    field = said.partition("=")[0]
    if field in Rule.model_fields:
        part, has = "quantization", _rules_with(said)
        changes: dict[str, object] = {"rules": [rule for rule in recipe.quantization.rules if not has(rule)]}
    else:
        part, _, name = field.partition(".")
        changes = {name: type(getattr(recipe, part)).model_fields[name].default}
    return recipe.model_copy(update={part: getattr(recipe, part).model_copy(update=changes)})


def _value(recipe: Recipe, field: str) -> object:
    value: object = recipe.data()
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
