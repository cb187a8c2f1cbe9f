"""Which recipes are built for which targets, found by data: a new family's recipes are guarded with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from exporter.recipe.recipe import Recipe
from exporter.recipe.recipe_file import load_recipe
from exporter.targets.matrix import Cell, cell
from exporter.targets.target import Target, list_targets

ROOT = Path(__file__).parents[2]
# One target of each runtime, all of which run here; a kit's by a stand-in.
EVERY_RUNTIME = ("cpu", "cpu-openvino", "cpu-executorch", "orin", "web")
# What t3export is judged by, and the pages build. Its targets differ from one another by what is data of theirs,
# whatever the recipe.
FLAGSHIP = "shape_e_int8"
FIRST = (f"{FLAGSHIP}-orin", f"{FLAGSHIP}-cpu")
IN_FLOATS = "shape_e_fp32"
FEWER_STEPS = 16
# Weights that are decoded in the program, by operators that no other recipe has.
STORED = {"int4_weights", "int8_weights", "palette"}


@dataclass(frozen=True)
class Pair:
    """A shipped recipe on a target, and what the program says becomes of it."""

    path: Path
    recipe: Recipe
    target: Target

    @property
    def name(self) -> str:
        return f"{self.recipe.name}-{self.target.name}"

    @cached_property
    def cell(self) -> Cell:
        return cell(self.recipe, self.target)

    @cached_property
    def parent(self) -> Recipe | None:
        """The recipe that it extends."""
        name = yaml.safe_load(self.path.read_text(encoding="utf-8")).get("extends")
        return load_recipe(self.path.parent / name) if name else None

    @property
    def fewer_steps(self) -> tuple[str, ...]:
        """Settings for a recipe that samples in several stages: in full that takes longer than all else of a pair. On
        this processor it is run as it ships."""
        if not self.recipe.samplers or self.target.name == "cpu":
            return ()
        sections = {"sampler": self.recipe.sampler, "validation.sampler": self.recipe.validation.sampler}
        return tuple(f"{name}.steps={FEWER_STEPS}" for name, section in sections.items() if section)

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
    """Those that are tried at every change; `--all-pairs` tries the others.

    Built: every recipe on this processor. The INT8 recipe of each family by every runtime, whose programs have the
    operators of its float ones too; one on every target that takes INT8, its float one where none does. Float weights
    in half precision on a kit, once for each set of weights. Weights stored in few bits in WebAssembly. Refused: each
    target once for every set of reasons.
    """
    int8, floats = int8_recipes(pairs), float_recipes(pairs)
    refused = {(pair.target.name, pair.cell.state, *pair.cell.reasons): pair.name for pair in reversed(pairs)}

    def is_guarded(pair: Pair) -> bool:
        if pair.cell.state != "builds":
            return pair.name in refused.values()
        return (
            pair.target.name == "cpu"
            or pair.recipe.name == FLAGSHIP
            or (pair.recipe.name == IN_FLOATS and "int8" not in pair.target.precisions)
            or (pair.recipe.name in int8 and pair.target.name in EVERY_RUNTIME)
            or (pair.recipe.name in floats and pair.target.name == "orin")
            or (pair.target.name == "web" and not STORED.isdisjoint(pair.recipe.precisions))
        )

    return [pair for pair in pairs if is_guarded(pair)]


def int8_recipes(pairs: Sequence[Pair]) -> set[str]:
    """The INT8 recipes of each family: those with INT8 layers that extend no other recipe with INT8 layers."""
    return {
        pair.recipe.name
        for pair in pairs
        if "int8" in pair.recipe.precisions and (pair.parent is None or "int8" not in pair.parent.precisions)
    }


def float_recipes(pairs: Sequence[Pair]) -> set[str]:
    """The float recipes of each set of weights: those that extend none, or one of other weights."""
    return {
        pair.recipe.name
        for pair in pairs
        if not pair.recipe.quantization.rules and (pair.parent is None or pair.parent.weights != pair.recipe.weights)
    }
