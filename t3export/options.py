"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from exporter.errors import NoSuchWeights, RecipeError, did_you_mean
from exporter.families.registry import families, known_parts, stage_names, uncalibrated_stages, ways_on
from exporter.recipe.document import Document, validate
from exporter.recipe.fit import Misfit, require_fit
from exporter.recipe.policy import RuleError
from exporter.recipe.recipe import Recipe
from exporter.recipe.recipe_file import WEIGHTS, read_recipe
from exporter.recipe.shipped import recipe_path
from exporter.recipe.weights_name import require_there

Command = Callable[..., Any]


def recipe_options(function: Command) -> Command:
    """RECIPE, --set and --weights."""
    function = click.option(
        "--weights",
        metavar="W",
        help="Other weights than the recipe's: shap-e-mini, a folder in the hub's layout or with OpenAI's files, a hub "
        "name[@revision], "
        "random:shap-e-300m[:seed], stress:WEIGHTS[:factor] with synthetic outliers, or "
        "shaped:WEIGHTS[:shape] whose field is a known shape (for speed).",
    )(function)
    function = click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="A.B=C",
        help="Override a field; may be repeated. A.0.B=C is for the first item of a list, A+=C adds one.",
    )(function)
    return recipe_argument(function)


def recipe_argument(function: Command) -> Command:
    """RECIPE: a file, or the name of a recipe that comes along."""
    return click.argument("recipe", type=click.Path(path_type=Path), callback=lambda *given: recipe_path(given[-1]))(
        function
    )


stand_in_option = click.option(
    "--on",
    "stand_in",
    type=click.Choice(["onnxruntime"]),
    help="Run the programs on ONNX Runtime here, in place of the target's own runtime.",
)

trust_option = click.option(
    "--trust",
    "trusted",
    multiple=True,
    metavar="KEY",
    help="The publisher's public key: a .pub file or the line in it.  [default: all of `t3export keys list`]",
)


def engine_options(function: Command) -> Command:
    """--engine and --worker-memory."""
    function = click.option(
        "--worker-memory", metavar="SIZE", help="Bound of each process of --engine dask:N, as in 4GB."
    )(function)
    return click.option(
        "--engine",
        metavar="E",
        default="local",
        show_default=True,
        help="Where objects are made: local, dask:N (N processes here), or tcp://HOST:PORT (a Dask scheduler whose "
        "workers see the same folders).",
    )(function)


memory_limit_option = click.option(
    "--memory-limit",
    type=click.IntRange(min=1),
    metavar="MB",
    help="Most that the weights of opened programs may take together, instead of the recipe's limit.",
)


def checked_recipe(path: Path, overrides: tuple[str, ...], weights: str | None) -> Recipe:
    """The recipe of these options. Raises RecipeError with the line of what is wrong, unknown names included."""
    document = read_recipe(path, overrides, weights)
    recipe = validate(Recipe, document).in_folder(path.parent)
    _require_known_family(recipe, document)
    _require_known_stages(recipe, document)
    parts = known_parts(recipe.model.family)
    if parts:
        try:
            require_fit(recipe, parts)
            recipe.quantization.table.require_calibrated(uncalibrated_stages(recipe.model.family))
        except Misfit as error:
            raise error.placed(document) from None
        except RuleError as error:
            raise _placed(error, recipe, document) from None
        _require_weights(recipe, document)
    return recipe


def _require_weights(recipe: Recipe, document: Document) -> None:
    try:
        require_there(recipe.weights)
    except NoSuchWeights as error:
        raise NoSuchWeights(
            f"{document.place(WEIGHTS)}: model.weights: {error}{ways_on(recipe.model.family)}"
        ) from None


@contextmanager
def placed_rules(checked: Recipe, path: Path, overrides: tuple[str, ...]) -> Iterator[None]:
    """Tells the line of a rule that turns out to match no layer of the model, and of fields that do not fit it."""
    try:
        yield
    except Misfit as error:
        raise error.placed(read_recipe(path, overrides)) from None
    except RuleError as error:
        raise _placed(error, checked, read_recipe(path, overrides)) from None


def _placed(error: RuleError, recipe: Recipe, document: Document) -> RecipeError:
    number = recipe.quantization.rules.index(error.rule)
    return RecipeError(f"{document.place(('quantization', 'rules', number, 'layers'))}: {error}")


def _require_known_family(recipe: Recipe, document: Document) -> None:
    family = recipe.model.family
    if family not in families():
        place = document.place(("model", "family"))
        raise RecipeError(f"{place}: model.family: found {family!r}; {did_you_mean(family, families())}")


def _require_known_stages(recipe: Recipe, document: Document) -> None:
    """Refuses rules for stages that the family has not; whether a stage has such a layer is the model's to tell."""
    stages = stage_names(recipe.model.family)
    if stages is None:
        return
    lines = []
    for number, rule in enumerate(recipe.quantization.rules):
        if not any(map(rule.may_speak_of, stages)):
            place = document.place(("quantization", "rules", number, "layers"))
            stage = rule.layers.partition("/")[0]
            lines.append(
                f"{place}: quantization.rules.{number}.layers: found {rule.layers!r}; a layer's name begins with its "
                f"stage's; {did_you_mean(stage, stages)}"
            )
    if lines:
        raise RecipeError("\n".join(lines))
