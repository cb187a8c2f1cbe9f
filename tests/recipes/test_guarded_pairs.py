"""What the pairs that are tried at every change leave nothing out of."""

from __future__ import annotations

from exporter.recipe.recipe_file import load_recipe
from tests.recipes.pairs import EVERY_RUNTIME, FEWER_STEPS, FLAGSHIP, all_pairs, guarded_pairs

EVERY = all_pairs()
GUARDED = guarded_pairs(EVERY)
BUILT = [pair for pair in GUARDED if pair.cell.state == "builds"]


def test_every_recipe_is_built_here() -> None:
    names = {pair.recipe.name for pair in EVERY if pair.target.name == "cpu" and pair.cell.state == "builds"}
    assert names == {pair.recipe.name for pair in BUILT if pair.target.name == "cpu"}
    assert len(names) > 10


def test_one_recipe_is_built_for_every_target_that_takes_it() -> None:
    taken = {pair.target.name for pair in EVERY if pair.recipe.name == FLAGSHIP and pair.cell.state == "builds"}
    assert taken == {pair.target.name for pair in BUILT if pair.recipe.name == FLAGSHIP}
    assert taken > set(EVERY_RUNTIME)


def test_every_family_is_in_int8_on_every_runtime_and_in_floats_on_a_kit() -> None:
    for family in {pair.recipe.model.family for pair in EVERY}:
        own = [pair for pair in BUILT if pair.recipe.model.family == family]
        int8 = {pair.target.name for pair in own if "int8" in pair.recipe.precisions}
        assert int8 >= set(EVERY_RUNTIME), family
        assert any(pair.target.name == "orin" and not pair.recipe.quantization.rules for pair in own), family


def test_every_precision_of_a_recipe_is_built_in_webassembly() -> None:
    """Palettes and blocks of weights among them."""
    known = {precision for pair in BUILT for precision in pair.recipe.precisions}
    web = {precision for pair in BUILT if pair.target.name == "web" for precision in pair.recipe.precisions}
    assert known - web <= {"bf16", "fp16"} and {"palette", "int4_weights"} <= web


def test_recipes_that_sample_in_several_stages_are_tried_in_full_here_and_with_fewer_steps_elsewhere() -> None:
    several = {pair.recipe.name: pair for pair in EVERY if pair.recipe.samplers and pair.target.name != "cpu"}
    assert several and {pair.name for pair in EVERY if pair.fewer_steps} == {
        pair.name for pair in EVERY if pair.recipe.name in several and pair.target.name != "cpu"
    }
    for pair in several.values():
        short = load_recipe(pair.path, pair.fewer_steps)
        samplers = [*short.samplers.values(), *short.validation.samplers.values()]
        assert max(sampler.steps for sampler in samplers) <= FEWER_STEPS


def test_every_target_and_every_reason_is_refused() -> None:
    """In words by the command line; `tests/exporter/targets/test_matrix.py` refuses every pair by the function."""

    def refusals(pairs: list) -> set[tuple[str, str]]:
        return {
            (pair.target.name, reason)
            for pair in pairs
            if pair.cell.state != "builds"
            for reason in (pair.cell.reasons or {"": ""})
        }

    assert refusals(GUARDED) == refusals(EVERY)
    assert len([pair for pair in GUARDED if pair.cell.state != "builds"]) < 40
