"""How near a bundle stays to the original, evaluation by evaluation where both have the same sampler."""

from __future__ import annotations

from exporter.recipe.recipe import Recipe
from exporter.runtime.bundle import Bundle
from tests.toy_bundle import write_toy_bundle
from tests.validate.proved_bundle import RECIPE, prove
from validate.prove import make_context
from validate.table.fidelity import Watch


def test_another_sampler_is_only_compared_where_both_end(tmp_path):
    bundle = Bundle.open(prove(write_toy_bundle(tmp_path / "bundle")))
    same = Recipe.model_validate(RECIPE)
    other = Recipe.model_validate(RECIPE | {"sampler": RECIPE["sampler"] | {"steps": 9}})
    context = make_context(bundle, bundle, same, None, None)
    assert Watch(context, same).fidelity(bundle).snr_worst_db == float("inf")
    found = Watch(context, other).fidelity(bundle)
    assert (found.snr_worst_db, found.snr_mean_db, found.latents_relative_l2) == (None, None, 0.0)
