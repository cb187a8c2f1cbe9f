"""What a target cannot take is told before anything is loaded, with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exporter.backends.executorch.refusals import REFUSED as REFUSED_BY_EXECUTORCH
from exporter.errors import RecipeError
from exporter.recipe import Recipe
from exporter.target import Target

# By backend: a precision, an operator, a rounding, an observer, `smooth`, a way of unrolling, each with the reason.
_REFUSED: Mapping[str, Mapping[str, str]] = {"executorch": REFUSED_BY_EXECUTORCH}


def require_taken(recipe: Recipe, target: Target) -> None:
    """Raises RecipeError that names the field of what the target does not take, and the reason."""
    refused = _REFUSED.get(target.backend, {})
    for field, word in _words(recipe):
        if word in refused:
            raise RecipeError(f"recipe '{recipe.name}', {field}: target '{target.name}' has no {word}: {refused[word]}")
    lacking = recipe.precisions - set(target.precisions)
    if lacking:
        raise RecipeError(
            f"recipe '{recipe.name}' has layers in {', '.join(sorted(lacking))}, which target '{target.name}' lacks; "
            f"it has {', '.join(target.precisions)}"
        )


def _words(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Everything a backend may refuse: the field of the recipe, and its word."""
    quantization = recipe.quantization
    yield "sampler.unroll", recipe.sampler.unroll
    for number, rule in enumerate(quantization.rules, start=1):
        if rule.precision == "fp32":
            continue
        where = f"quantization.rules: rule {number} ({rule.layers!r})"
        yield from ((where, word) for word in (rule.operator, rule.precision, rule.rounding))
    if quantization.table.calibrated:
        yield "quantization.calibration.observer", quantization.calibration.observer
    if quantization.smooth != "none":
        yield "quantization.smooth", "smooth"
