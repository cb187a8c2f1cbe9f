"""`t3export recipe show|check|explain`."""

from __future__ import annotations

from pathlib import Path

import click
import yaml
from rich.markup import escape

from exporter.recipe.recipe import Recipe
from exporter.recipe.shipped import copy_recipe, description_of, shipped_recipes
from exporter.targets.accept import fitted, require_accepted
from exporter.targets.target import load_target, require_complete
from t3export.explained import print_fields
from t3export.options import checked_recipe, recipe_options
from t3export.output import print_json, print_note, results, table


@click.group()
def command() -> None:
    """List, copy, show, check or explain recipes.

    RECIPE is a file everywhere, or the name of a recipe that comes along.

    \b
    Examples:
      t3export recipe list
      t3export recipe copy shape_e_int8 mine
      t3export recipe show recipes/shape_e_int8.yaml
      t3export recipe check my_recipe.yaml --set sampler.steps=16
      t3export recipe explain sampler.scheduler
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def list_(as_json: bool) -> None:
    """List the recipes that come along. They are built by name, as in `t3export build shape_e_int8`.

    \b
    Examples:
      t3export recipe list
      t3export recipe list --json
    """
    told = {name: description_of(path) for name, path in shipped_recipes().items()}
    if as_json:
        print_json(told)
        return
    names = table("recipe", "what it is")
    for name, description in told.items():
        names.add_row(name, escape(description))
    results().print(names)


@command.command()
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--json", "as_json", is_flag=True, help="The files as one JSON document on stdout.")
def copy(name: str, folder: Path, as_json: bool) -> None:
    """Copy the recipe NAME, with all that it is made of, into FOLDER, to be changed.

    \b
    Examples:
      t3export recipe copy shape_e_int8
      t3export recipe copy shape_e_int8 mine
    """
    written = [str(path) for path in copy_recipe(name, folder)]
    if as_json:
        print_json(written)
    for path in () if as_json else written:
        results().print(escape(path))


@command.command()
@recipe_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def show(recipe: Path, overrides: tuple[str, ...], weights: str | None, as_json: bool) -> None:
    """Print a recipe as it will be built: extended, overridden, with all defaults.

    \b
    Examples:
      t3export recipe show recipes/shape_e_int8.yaml
      t3export recipe show recipes/shape_e_int8.yaml --set sampler.steps=16 --json
    """
    data = checked_recipe(recipe, overrides, weights).data()
    if as_json:
        print_json(data)
    else:
        click.echo(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), nl=False)


@command.command()
@recipe_options
@click.option("--target", "target_name", help="Also check that this target takes what the recipe asks for.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def check(
    recipe: Path, overrides: tuple[str, ...], weights: str | None, target_name: str | None, as_json: bool
) -> None:
    """Check a recipe and print its digest; every mistake is told with its line. Exit code 2 for a wrong one.

    \b
    Examples:
      t3export recipe check recipes/shape_e_int8.yaml
      t3export recipe check recipes/shape_e_int8.yaml --target android
    """
    checked = checked_recipe(recipe, overrides, weights)
    if target_name:
        target = load_target(target_name)
        require_complete(target)
        checked, left_out = fitted(checked, target)
        require_accepted(checked, target)
        for told in left_out:
            print_note(told)
    if as_json:
        print_json({"recipe": checked.name, "digest": checked.digest, "valid": True})
    else:
        results().print(f"[green]valid[/] {escape(checked.name)}  digest {checked.digest[:16]}")


@command.command()
@click.argument("field", required=False)
@click.option("--json", "as_json", is_flag=True, help="The JSON schema of a recipe, or of FIELD, on stdout.")
def explain(field: str | None, as_json: bool) -> None:
    """Describe every field of a recipe, or one FIELD or section.

    \b
    Examples:
      t3export recipe explain
      t3export recipe explain sampler
      t3export recipe explain sampler.steps
      t3export recipe explain validation.tolerances.int8
      t3export recipe explain quantization.rules.layers --json
    """
    print_fields(Recipe, field, "recipe explain", as_json)
