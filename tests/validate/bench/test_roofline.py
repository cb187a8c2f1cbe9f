"""Products counted, ceilings measured, and stages below them."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from exporter.runtime.generator import POINTS_AT_ONCE
from torch.utils.flop_counter import FlopCounterMode

from exporter.families.registry import load_model
from exporter.machine.meter import Silent
from exporter.machine.timing import FEWEST_ROUNDS
from exporter.pipeline.pure_module import PureModule
from exporter.pipeline.tensor import TensorSpec
from exporter.recipe.recipe import Recipe
from exporter.targets.target import load_target
from tests.exporter.quantize.bench import tiny_recipe
from tests.exporter.tiny import RENDER, write_tiny_shap_e
from validate.bench import roofline
from validate.bench.ceilings import heaviest, product_ceilings
from validate.bench.measure import BenchSettings
from validate.bench.products import Counted, ProductShape, _count, count_products
from validate.bench.roofline import StageRoof, measure_roofline, tell_roofline
from validate.bench.sides import DIFFUSION, MESH, PROJECTOR, TEXT


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_shap_e(tmp_path_factory.mktemp("tiny"))


def test_operations_are_those_that_pytorch_counts(folder):
    stage = load_model("shap-e", str(folder)).stages(RENDER)["text_encoder"]()
    counted = _count(stage)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        stage.module(torch.zeros(1, 12, dtype=torch.int64))
    # It has no formula for attention on a CPU: two layers of two heads, two products of 12 x 12 with 16 each.
    assert counted.linear_operations == counter.get_total_flops()
    assert counted.attention_operations == 2 * 2 * 2 * (2 * 12 * 12 * 16)


def test_every_stage_is_counted_with_the_sizes_of_one_object(folder):
    recipe: Recipe = tiny_recipe(folder)
    target = load_target("cpu").model_dump(mode="json")
    counted = count_products(SimpleNamespace(recipe=recipe.data(), target=target))
    spared = recipe.model_copy(update={"sampler": recipe.sampler.model_copy(update={"guidance_interval": [0.5, 2.0]})})
    assert counted == count_products(SimpleNamespace(recipe=spared.data(), target=target))
    assert set(counted) == {TEXT, DIFFUSION, PROJECTOR, MESH}
    # Both branches of guidance, 64 tokens and 2 of condition and time.
    assert counted[DIFFUSION].linear[ProductShape(2 * 66, 32, 32)] == 2 * 4
    assert counted[PROJECTOR].linear[ProductShape(1, 20, 93, count=16)] == 1
    assert counted[MESH].linear[ProductShape(POINTS_AT_ONCE, 93, 16)] == 1


def test_products_of_a_module_by_hand():
    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Linear(8, 16), torch.nn.Linear(16, 8, bias=False)

        def forward(self, x):
            return self.second(self.first(x))

    spec = TensorSpec("x", "float32", ("batch", 5, 8))
    counted = _count(PureModule("two", Two(), (spec,), ()))
    assert (
        counted == Counted({ProductShape(5, 8, 16): 1, ProductShape(5, 16, 8): 1}, 0)
        and counted.linear_operations == 4 * 5 * 128
    )


def test_the_heaviest_shapes_of_each_stage_are_chosen():
    large, middle, small = ProductShape(64, 64, 64), ProductShape(8, 64, 64), ProductShape(1, 8, 8)
    assert heaviest([{large: 10, small: 1}, {middle: 1, small: 1}]) == [large, middle]
    assert heaviest([{large: 1, middle: 8}]) == [large, middle] and heaviest([{large: 1, middle: 8}], most=1) == [large]


def test_a_ceiling_is_the_fastest_library_of_each_precision():
    found = product_ceilings(ProductShape(64, 128, 128), threads=1, seconds=0.0)
    assert set(found) == {"fp32", "bf16", "int8"} and all(ceiling.rate > 1e6 for ceiling in found.values())
    assert set(product_ceilings(ProductShape(1, 16, 16, count=4), threads=1, seconds=0.0)) == {"fp32", "bf16", "int8"}
    assert FEWEST_ROUNDS == 3


def test_a_share_is_what_the_products_or_the_weights_would_need():
    stage = StageRoof(DIFFUSION, "int8", 2.0, 10, {"fp32": 3.0, "int8": 0.5}, reading=1.0)
    assert stage.share("fp32") == 1.5 and stage.share("int8") == 0.5


def test_shapes_that_were_not_measured_count_at_the_best_rate():
    known, other = ProductShape(10, 10, 10), ProductShape(5, 10, 10)
    least = roofline._least(Counted({known: 2, other: 1}, 4000), {known: 1000.0})
    assert least == 2 * 2000 / 1000 + 1000 / 1000 + 4000 / 1000


def test_a_roofline_of_a_bundle(toy_bundle, monkeypatch):
    counted = {TEXT: Counted({ProductShape(4, 8, 8): 1}, 0), MESH: Counted({ProductShape(64, 8, 8): 2}, 0)}
    monkeypatch.setattr(roofline, "count_products", lambda manifest: counted)
    monkeypatch.setattr(roofline, "read_bandwidth", lambda: 1e10)
    monkeypatch.setattr(roofline, "product_ceilings", lambda shape, threads: product_ceilings(shape, threads, 0.0))
    settings = BenchSettings(threads=1, rounds=1, prompt="a red ball")
    told = tell_roofline(measure_roofline(toy_bundle, settings, Silent()))
    assert [stage["name"] for stage in json.loads(json.dumps(told.data))["stages"]] == [TEXT, MESH]
    assert told.data["stages"][0]["share"]["fp32"] > 0 and "share of int8" in told.markdown()
