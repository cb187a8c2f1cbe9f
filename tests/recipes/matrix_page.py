"""The page of recipes on targets, written from what was really built and refused."""

from __future__ import annotations

from collections.abc import Set

from exporter.targets.target import list_targets
from t3export.target_check import check_markdown
from tests.recipes.pairs import ROOT, all_pairs

PAGE = ROOT / "docs/matrix.md"
COMMAND = "t3export targets --check --markdown\n```\n\n"


def write(made: Set[tuple[str, ...]]) -> str:
    """Write the matrix when all pairs (recipe, target) were `made` as the program says; what is to be told of it."""
    pairs = all_pairs()
    if lacking := [pair.name for pair in pairs if (pair.recipe.name, pair.target.name) not in made]:
        return f"{PAGE.name} is left as it was; {len(lacking)} pairs came out otherwise, as {lacking[0]}"
    before, _ = PAGE.read_text(encoding="utf-8").split(COMMAND)
    recipes = {pair.recipe.name: pair.recipe for pair in pairs}
    matrix = check_markdown(list_targets(), [recipes[name] for name in sorted(recipes)])
    PAGE.write_text(before + COMMAND + matrix, encoding="utf-8")
    return f"{PAGE.name} is what came of {len(pairs)} pairs"
