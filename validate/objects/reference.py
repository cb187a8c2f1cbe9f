"""What a bundle is compared with: the PyTorch model, or the float programs that somebody else exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.adopt.float_bundle import float_bundle
from exporter.errors import BundleError, WeightsError
from exporter.families.registry import load_model
from exporter.manifest import Manifest
from exporter.recipe.recipe import Recipe
from exporter.runtime.bundle import Bundle
from exporter.runtime.run import Programs
from validate.objects.moved_weights import telling_where_they_were

if TYPE_CHECKING:
    from exporter.families.original import Original


def open_reference(bundle: Bundle, recipe: Recipe, weights: str | None = None) -> Programs:
    """What a bundle is compared with: of an adopted one the float programs in it, which need no family and no PyTorch.

    Raises as `load_reference`, and for weights of a bundle that has none.
    """
    if not bundle.manifest.is_adopted:
        return load_reference(bundle.manifest, recipe, weights)
    if weights:
        raise WeightsError(f"--weights {weights}: the reference of {bundle.folder} are the float programs in it")
    return float_bundle(bundle.folder, bundle.manifest)


def load_reference(manifest: Manifest, recipe: Recipe, weights: str | None = None) -> Original:
    """The PyTorch model that the bundle was made from. Raises WeightsError when its weights have changed since or
    are not there any more, BundleError for a bundle of programs that somebody else exported."""
    if manifest.is_adopted:
        raise BundleError(
            f"{manifest.name}: its programs were exported elsewhere, and there is no PyTorch model of them"
        )
    source = weights or manifest.weights.source
    with telling_where_they_were(source, weights):
        model = load_model(recipe.model.family, source, **recipe.model_settings)
    if model.weights_digest != manifest.weights.digest:
        raise WeightsError(
            f"{source}: these are not the weights that the bundle was built from (digest {model.weights_digest[:16]}, "
            f"the bundle's is {manifest.weights.digest[:16]}). Build the bundle again, or point --weights at its own"
        )
    return model.original(recipe)


def as_compared(recipe: Recipe) -> Recipe:
    """The recipe whose reference the quality of its bundle is compared with."""
    judged = recipe.validation
    samplers = ({} if judged.sampler else recipe.samplers) | judged.samplers
    return recipe.model_copy(update={"sampler": judged.sampler or recipe.sampler, "samplers": samplers})
