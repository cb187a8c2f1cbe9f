"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]


def recipe_options(function: Command) -> Command:
    """RECIPE, --set and --weights."""
    function = click.option(
        "--weights",
        metavar="W",
        help="Other weights than the recipe's: shap-e-mini, a folder in the hub's layout, a hub name, "
        "or random:shap-e-300m[:seed].",
    )(function)
    function = click.option(
        "--set", "overrides", multiple=True, metavar="A.B=C", help="Override a field; may be repeated."
    )(function)
    return click.argument("recipe", type=click.Path(path_type=Path))(function)
