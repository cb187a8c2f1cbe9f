"""The recipes to start from: those of the repository, and of an installed package beside our source."""

from __future__ import annotations

import shutil
from pathlib import Path

from exporter.errors import RecipeError, did_you_mean
from exporter.recipe.document import read_yaml

FOLDER = (Path(__file__).parents[2] / "recipes").resolve()


def shipped_recipes() -> dict[str, Path]:
    """By name; empty where they are not there."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def recipe_path(given: Path) -> Path:
    """A recipe's file: as given, or the shipped one of that name where there is no such file."""
    return given if given.exists() else shipped_recipes().get(str(given), given)


def copy_recipe(name: str, folder: Path) -> list[Path]:
    """Write a shipped recipe with all that it is made of into a folder; the files, the recipe first.

    Raises RecipeError for a name that is none, or where a file would be replaced by another.
    """
    shipped = shipped_recipes()
    if name not in shipped:
        raise RecipeError(f"no recipe '{name}' comes along; {did_you_mean(name, shipped)}")
    sources = [shipped[name], *_parts(shipped[name])]
    targets = {folder / source.relative_to(FOLDER): source for source in dict.fromkeys(sources)}
    for target, source in targets.items():
        if target.exists() and target.read_bytes() != source.read_bytes():
            raise RecipeError(f"{target} is there and is another; copy into a folder of its own")
    for target, source in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return list(targets)


def description_of(path: Path) -> str:
    """What a recipe says of itself."""
    return str(read_yaml(path).data.get("description", ""))


def _parts(path: Path) -> list[Path]:
    """What a recipe extends, with what that is made of, and its policy."""
    data = read_yaml(path).data
    named = [data.get("extends"), (data.get("quantization") or {}).get("policy")]
    own = [(path.parent / name).resolve() for name in named if name]
    return [part for one in own for part in (one, *_parts(one))]
