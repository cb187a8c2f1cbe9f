"""The PyTorch model that a bundle is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.errors import WeightsError
from exporter.families.registry import load_model
from exporter.manifest import Manifest
from exporter.recipe.recipe import Recipe
from validate.objects.moved_weights import telling_where_they_were

if TYPE_CHECKING:
    from exporter.families.original import Original


def load_reference(manifest: Manifest, recipe: Recipe, weights: str | None = None) -> Original:
    """The PyTorch model that the bundle was made from. Raises WeightsError when its weights have changed since or
    are not there any more."""
    source = weights or manifest.weights.source
    with telling_where_they_were(source, weights):
        model = load_model(recipe.model.family, source)
    if model.weights_digest != manifest.weights.digest:
        raise WeightsError(
            f"{source}: these are not the weights that the bundle was built from (digest {model.weights_digest[:16]}, "
            f"the bundle's is {manifest.weights.digest[:16]}). Build the bundle again, or point --weights at its own"
        )
    return model.original(recipe)


def as_compared(recipe: Recipe) -> Recipe:
    """The recipe whose reference the quality of its bundle is compared with."""
    return recipe.model_copy(update={"sampler": recipe.validation.sampler or recipe.sampler})
