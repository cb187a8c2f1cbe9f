"""A build that takes seconds, and what has to be true after whatever was done to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.build.build import build
from exporter.errors import T3Error
from exporter.families import registry
from exporter.families.registry import register
from exporter.files.cache import Cache, _is_whole
from exporter.manifest import MANIFEST, bundle_digest, require_whole
from exporter.recipe.recipe import Recipe
from exporter.targets.target import load_target
from tests.exporter.ball_family import RECIPE, Balls


@contextmanager
def ball_family() -> Iterator[None]:
    """The family of balls, for as long as the context lasts."""
    register("balls", Balls)
    try:
        yield
    finally:
        registry._loaders.pop("balls")


def build_balls(out: Path, cache: Path, steps: int = 3) -> str:
    """Builds the bundle; its digest."""
    recipe = Recipe.model_validate(RECIPE)
    recipe = recipe.model_copy(update={"sampler": recipe.sampler.model_copy(update={"steps": steps})})
    return build(recipe, load_target("cpu"), out, cache=Cache(cache)).digest


def wrong_bundle(out: Path, allowed: set[str]) -> str:
    """What is wrong with the bundle in its place: it may be absent, or one of these digests and whole."""
    if not out.exists():
        return "" if "" in allowed else "the former bundle is gone"
    if not (out / MANIFEST).exists():
        return "a folder without a manifest is in its place"
    try:
        found = bundle_digest(require_whole(out))
    except T3Error as error:
        return f"what is in its place is no whole bundle: {error}"
    return "" if found in allowed else f"another bundle is in its place: {found[:8]}"


def wrong_cache(folder: Path) -> str:
    """The first entry of the cache that would be taken and is not as it was made."""
    for entry in Cache(folder).entries():
        if not _is_whole(entry.folder):
            return f"the cache lists {entry.step}, which is damaged"
    return ""
