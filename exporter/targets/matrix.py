"""Every recipe on every target: what would be built, and what is refused for which reason. Nothing is built for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from exporter.recipe.recipe import Recipe
from exporter.targets.accept import fitted, misfits
from exporter.targets.target import Target

State = Literal["builds", "refused", "planned"]


@dataclass(frozen=True)
class Cell:
    """One recipe on one target. `reasons`: what the target refuses of it, also where it is only planned."""

    recipe: str
    target: str
    state: State
    reasons: dict[str, str] = field(default_factory=dict)


def cell(recipe: Recipe, target: Target) -> Cell:
    """What `build` would do with a recipe and a target."""
    reasons = misfits(fitted(recipe, target)[0], target)
    state: State = "planned" if target.status == "planned" else "refused" if reasons else "builds"
    return Cell(recipe.name, target.name, state, reasons)


def matrix(recipes: Sequence[Recipe], targets: Sequence[Target]) -> list[list[Cell]]:
    """A row for each target, a column for each recipe."""
    return [[cell(recipe, target) for recipe in recipes] for target in targets]
