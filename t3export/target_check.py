"""`t3export targets --check`: what is here of each target, what it takes, and what becomes of each recipe on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.markup import escape

from exporter.recipe.policy import RULE_PRECISIONS
from exporter.recipe.recipe import Recipe
from exporter.recipe.recipe_file import load_recipe
from exporter.targets.matrix import Cell, matrix
from exporter.targets.stand_in import hardware_elsewhere
from exporter.targets.target import Target
from t3export.output import table

RECIPES = Path("recipes")
_HEADER = ["target", "what it is"]


def read_recipes(paths: Sequence[Path]) -> list[Recipe]:
    """These recipes, or those of ./recipes, sorted by name. Raises RecipeError."""
    found = [load_recipe(path) for path in paths or RECIPES.glob("*.yaml")]
    return sorted(found, key=lambda recipe: recipe.name)


def check_data(targets: Sequence[Target], recipes: Sequence[Recipe]) -> list[dict[str, Any]]:
    """The check as JSON data."""
    return [
        {
            "target": target.name,
            "status": target.status,
            "needs": [need.model_dump() | {"found": need.found} for need in target.needs],
            "precisions": {name: target.reason_against(name) for name in reversed(RULE_PRECISIONS)},
            "recipes": {cell.recipe: {"state": cell.state, "reasons": cell.reasons} for cell in row},
            "measured": target.measured,
            "why_planned": target.why_planned,
            "stand_in": target.stand_in,
        }
        for target, row in zip(targets, matrix(recipes, targets), strict=True)
    ]


def check_table(targets: Sequence[Target], recipes: Sequence[Recipe]) -> RenderableType:
    """The check for people: a line for each target, then why not the rest, and what a check here can see."""
    overview = table("target", "to build", "to run", "takes")
    for target in targets:
        overview.add_row(
            f"[bold]{target.name}[/]",
            escape(_state_of(target, "build")),
            escape(_state_of(target, "run")),
            " ".join(target.precisions),
        )
    taken = table("\nrecipe", "\nbuilds for", "\nnot for")
    for recipe, column in zip(recipes, zip(*matrix(recipes, targets), strict=True), strict=True):
        cells = list(zip(targets, column, strict=True))
        builds = [target.name for target, cell in cells if cell.state == "builds"]
        others = [f"{target.name} ({_words(cell)})" for target, cell in cells if cell.state != "builds"]
        taken.add_row(f"[bold]{recipe.name}[/]", ", ".join(builds), escape(", ".join(others)))
    why = table("\nrefused by", "\nprecisions", "\nreason")
    for (precisions, reason), names in _refusals(targets).items():
        why.add_row(", ".join(names), precisions, escape(reason))
    measured = table("\nmeasured of", "\nwhat is refused by", "\nfigures")
    for (refused, figures), names in _measurements(targets).items():
        measured.add_row(refused, ", ".join(names), escape(figures))
    planned, seen = table("\nplanned", "\nbecause"), table("\nchecked here", "\nby")
    for target in targets:
        if target.why_planned:
            planned.add_row(target.name, escape(target.why_planned))
        if target.stand_in:
            seen.add_row(target.name, escape(target.stand_in))
    return Group(overview, *(part for part in (taken, why, measured, planned, seen) if part.row_count))


def check_markdown(targets: Sequence[Target], recipes: Sequence[Recipe]) -> str:
    """The recipes on the targets as a Markdown table with its reasons: the same on every machine."""
    lines = [_row([*_HEADER, *(recipe.name for recipe in recipes)]), _row(["---"] * (2 + len(recipes)))]
    reasons: dict[str, list[str]] = {}
    for target, row in zip(targets, matrix(recipes, targets), strict=True):
        lines.append(_row([f"`{target.name}`", target.description, *(_words(cell) for cell in row)]))
        refused = {name: reason for cell in row if cell.state == "refused" for name, reason in cell.reasons.items()}
        for name, reason in refused.items():
            reasons.setdefault(f"{name}: {reason}", []).append(f"`{target.name}`")
    notes = [f"- {', '.join(names)}, no {reason}." for reason, names in reasons.items()]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def _state_of(target: Target, side: Literal["build", "run"]) -> str:
    """What this machine lacks to build for a target or to run it; other hardware than its own is named."""
    if target.status == "planned":
        return "planned"
    if lacking := target.missing(side):
        return f"lacks {', '.join(need.name for need in lacking)}"
    elsewhere = hardware_elsewhere(target) if side == "run" else []
    return f"on: {', '.join(elsewhere)}" if elsewhere else "ready"


def _refusals(targets: Sequence[Target]) -> dict[tuple[str, str], list[str]]:
    """(precisions, reason) -> the targets that refuse them for it."""
    found: dict[tuple[str, str], list[str]] = {}
    for target in targets:
        reasons: dict[str, list[str]] = {}
        for name in reversed(RULE_PRECISIONS):
            if reason := target.reason_against(name):
                reasons.setdefault(reason, []).append(name)
        for reason, precisions in reasons.items():
            found.setdefault((" ".join(precisions), reason), []).append(target.name)
    return found


def _measurements(targets: Sequence[Target]) -> dict[tuple[str, str], list[str]]:
    """(what is refused, figures) -> the targets for which they were measured."""
    found: dict[tuple[str, str], list[str]] = {}
    for target in targets:
        for refused, figures in target.measured.items():
            found.setdefault((refused, figures), []).append(target.name)
    return found


def _words(cell: Cell) -> str:
    return f"no {', '.join(cell.reasons)}" if cell.state == "refused" else cell.state


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
