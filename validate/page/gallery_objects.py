"""What a bundle makes, for the gallery: the first objects that its judge is given, small enough for a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from exporter.errors import BundleError, RecipeError
from exporter.manifest import Manifest, bundle_digest
from exporter.pipeline.assets import MeshAsset
from exporter.runtime.assets.solid.simplify import simplify
from exporter.runtime.bundle import Bundle
from exporter.runtime.generated import GeneratedObject
from exporter.runtime.surface.decoded import field_of
from validate.judge.prompts import Prompt
from validate.judge.wanted import wanted_objects
from validate.ladder.report import read_report
from validate.objects.objects import object_seed
from validate.page.models import ModelShown, model_shown, picture_address

# As many look smooth when they are turned, and a hundred objects of them fit into the page.
TRIANGLES = 3000
GIVEN_PIXELS = 96


@dataclass(frozen=True)
class GalleryObject:
    """caption: the prompt, or what the picture shows; given: the picture's address, None for words; told: the facts."""

    caption: str
    given: str | None
    model: ModelShown
    told: str


@dataclass(frozen=True)
class Gallery:
    """What the page shows of a bundle, beside the report of its last validation."""

    manifest: Manifest
    report: dict[str, Any]
    objects: tuple[GalleryObject, ...]


def gallery_of(folder: Path, count: int, on_object: Callable[[], None] = lambda: None) -> Gallery:
    """Make the first `count` objects of a bundle's validation again, from the same noise: none of them is chosen.

    Raises RecipeError for random weights and for a bundle that makes no mesh, BundleError for one that was not
    validated since it was built, PromptsError for more objects than prompts or pictures are shipped.
    """
    bundle = Bundle.open(folder)
    manifest, report = bundle.manifest, read_report(folder)
    if not manifest.weights.trained:
        raise RecipeError(
            f"{folder}: its weights are random ({manifest.weights.source}), and a gallery shows trained ones"
        )
    if bundle.pipeline.asset(MeshAsset) is None:
        made_instead = ", ".join(bundle.pipeline.assets)
        raise RecipeError(f"{folder}: a gallery shows meshes, and this bundle makes {made_instead}")
    if report["bundle_digest"] != bundle_digest(manifest):
        raise BundleError(f"{folder}: built again since it was validated; run `t3export validate {folder}`")
    objects = []
    for index, prompt in enumerate(wanted_objects(bundle.pipeline, count).prompts):
        seed = object_seed(index, 0)
        made = bundle.generate(prompt.picture or prompt.text, seed)
        objects.append(_shown(prompt, made, _rank(report, prompt, seed)))
        on_object()
    return Gallery(manifest, report, tuple(objects))


def judged(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects that the judge of a validation has seen; none where its quality was not measured."""
    rungs = (rung for rung in report["rungs"] if rung["name"] == "quality")
    return [row for rung in rungs for row in rung["details"].get("objects", ())]


def _rank(report: dict[str, Any], prompt: Prompt, seed: int) -> int | None:
    """The place of the caption in the judge's choice for the same object of the bundle."""
    asked = {prompt.text, prompt.given}
    rows = [row for row in judged(report) if row["prompt"] in asked and row["seed"] == seed]
    return rows[0]["bundle"]["rank"] if rows else None


def _shown(prompt: Prompt, made: GeneratedObject, rank: int | None) -> GalleryObject:
    mesh = made.mesh if made.is_empty else simplify(made.mesh, TRIANGLES, field_of(made.run).color)
    told = f"seed {made.seed}, " + ("no surface" if made.is_empty else f"{len(made.faces):,} triangles")
    if rank is not None:
        told += ", recognised" if rank == 1 else f", its caption is the judge's choice number {rank}"
    given = _thumbnail(prompt.picture) if prompt.picture else None
    return GalleryObject(prompt.text, given, model_shown(mesh), told)


def _thumbnail(path: Path) -> str:
    """A picture that was given, small, on white where it is transparent."""
    with Image.open(path) as opened:
        given = opened.convert("RGBA")
    white = Image.new("RGBA", given.size, "white")
    small = Image.alpha_composite(white, given).convert("RGB").resize((GIVEN_PIXELS, GIVEN_PIXELS))
    return picture_address(np.asarray(small))
