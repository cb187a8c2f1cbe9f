"""Which recipes are built for which targets, found by data: a new family's recipes are guarded with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from exporter.recipe.recipe import Recipe
from exporter.recipe.recipe_file import load_recipe
from exporter.targets.matrix import Cell, cell
from exporter.targets.target import Target, list_targets

ROOT = Path(__file__).parents[2]
# One of each kind: programs that run here, a kit for a device, and JavaScript.
FOR_EVERY_RECIPE = ("cpu", "orin", "web")
EVERY_RUNTIME = (*FOR_EVERY_RECIPE, "cpu-openvino", "cpu-executorch")
# Families whose INT8 is tried on every target; that of the others by every runtime, as boards differ in no operator.
ON_EVERY_TARGET = {"shap-e", "shap-e-image"}


@dataclass(frozen=True)
class Pair:
    """A shipped recipe on a target, and what the program says becomes of it."""

    path: Path
    recipe: Recipe
    target: Target

    @property
    def name(self) -> str:
        return f"{self.recipe.name}-{self.target.name}"

    @property
    def cell(self) -> Cell:
        return cell(self.recipe, self.target)

    @property
    def group(self) -> str:
        """Pairs whose programs begin with the same traces, for one worker: side by side they would all trace them."""
        if self.cell.state != "builds":
            return "refused"
        return f"{self.recipe.name}-{self.target.backend.partition('-')[0]}-{self.target.opset}"


def all_pairs() -> list[Pair]:
    """Every shipped recipe on every target."""
    recipes = [(path, load_recipe(path)) for path in sorted((ROOT / "recipes").glob("*.yaml"))]
    return [Pair(path, recipe, target) for path, recipe in recipes for target in list_targets()]


def guarded_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """Those that are tried at every change: every recipe somewhere, INT8 by every runtime and of some families on
    every target, and every refusal."""
    int8 = int8_recipes([pair.path for pair in pairs])

    def is_guarded(pair: Pair) -> bool:
        if pair.cell.state != "builds" or pair.target.name in FOR_EVERY_RECIPE:
            return True
        on_every = pair.recipe.model.family in ON_EVERY_TARGET
        return pair.path in int8 and (on_every or pair.target.name in EVERY_RUNTIME)

    return [pair for pair in pairs if is_guarded(pair)]


def int8_recipes(paths: Sequence[Path]) -> set[Path]:
    """The INT8 recipes of each family: those with INT8 layers that extend no other recipe with INT8 layers."""
    with_int8 = {path.resolve() for path in paths if "int8" in load_recipe(path).precisions}
    return {path for path in paths if path.resolve() in with_int8 and _parent(path) not in with_int8}


def _parent(path: Path) -> Path | None:
    name = yaml.safe_load(path.read_text(encoding="utf-8")).get("extends")
    return (path.parent / name).resolve() if name else None
