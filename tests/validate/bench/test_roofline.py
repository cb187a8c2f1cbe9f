"""Products counted, ceilings measured, and stages below them."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from exporter.families.registry import load_model
from exporter.machine.meter import Silent
from exporter.machine.timing import FEWEST_ROUNDS
from exporter.pipeline.pure_module import PureModule
from exporter.pipeline.tensor import POINTS_AT_ONCE, RAYS_AT_ONCE, TensorSpec
from exporter.recipe.recipe import Recipe
from exporter.runtime.bundle import Bundle
from exporter.targets.target import load_target
from tests.exporter.quantize.bench import tiny_recipe
from tests.exporter.tiny import pure_module, write_tiny_shap_e
from validate.bench import roofline
from validate.bench.ceilings import heaviest, product_ceilings
from validate.bench.measure import BenchSettings
from validate.bench.products import Counted, ProductShape, _count, count_products
from validate.bench.roofline import StageRoof, measure_roofline, tell_roofline
from validate.bench.sides import BundleSide, Work


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_shap_e(tmp_path_factory.mktemp("tiny"))


def test_operations_are_those_that_pytorch_counts(folder):
    encoder = pure_module(load_model("shap-e", str(folder)), "text_encoder")
    counted = _count(encoder)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encoder.module(torch.zeros(1, 12, dtype=torch.int64))
    # It has no formula for attention on a CPU: two layers of two heads, two products of 12 x 12 with 16 each.
    assert counted.linear_operations == counter.get_total_flops()
    assert counted.attention_operations == 2 * 2 * 2 * (2 * 12 * 12 * 16)


def test_every_stage_is_counted_with_the_sizes_of_one_object(folder):
    recipe: Recipe = tiny_recipe(folder)
    target = load_target("cpu").model_dump(mode="json")
    counted = count_products(SimpleNamespace(recipe=recipe.data(), target=target))
    spared = recipe.model_copy(update={"sampler": recipe.sampler.model_copy(update={"guidance_interval": [0.5, 2.0]})})
    assert counted == count_products(SimpleNamespace(recipe=spared.data(), target=target))
    assert list(counted) == ["text_encoder", "denoiser", "projector", "field", "renderer"]
    # Both branches of guidance, 64 tokens and 2 of condition and time.
    assert counted["denoiser"].linear[ProductShape(2 * 66, 32, 32)] == 2 * 4
    assert counted["projector"].linear[ProductShape(1, 20, 93, count=16)] == 1
    assert counted["field"].linear[ProductShape(POINTS_AT_ONCE, 93, 16)] == 1
    # The coarse samples of every ray, then those with the fine ones among them.
    assert {shape.rows for shape in counted["renderer"].linear} == {RAYS_AT_ONCE * 8, RAYS_AT_ONCE * (8 + 12)}


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
    stage = StageRoof("denoiser", "int8", 2.0, 10, {"fp32": 3.0, "int8": 0.5}, reading=1.0)
    assert stage.share("fp32") == 1.5 and stage.share("int8") == 0.5


def test_shapes_that_were_not_measured_count_at_the_best_rate():
    known, other = ProductShape(10, 10, 10), ProductShape(5, 10, 10)
    least = roofline._least(Counted({known: 2, other: 1}, 4000), {known: 1000.0})
    assert least == 2 * 2000 / 1000 + 1000 / 1000 + 4000 / 1000


def test_a_roofline_of_a_bundle(toy_bundle, monkeypatch):
    counted = {
        name: Counted({ProductShape(rows, 8, 8): 2}, 0)
        for name, rows in {"text_encoder": 4, "denoiser": 8, "field": POINTS_AT_ONCE, "renderer": 16}.items()
    }
    monkeypatch.setattr(roofline, "count_products", lambda manifest: counted)
    monkeypatch.setattr(roofline, "read_bandwidth", lambda: 1e10)
    monkeypatch.setattr(roofline, "product_ceilings", lambda shape, threads: product_ceilings(shape, threads, 0.0))
    settings = BenchSettings(threads=1, rounds=1, prompt="a red ball")
    told = tell_roofline(measure_roofline(toy_bundle, settings, Silent()))
    stages = {stage["name"]: stage for stage in json.loads(json.dumps(told.data))["stages"]}
    # No picture is made.
    assert list(stages) == ["text_encoder", "denoiser", "field"] and "16x8x8" not in told.data["products"]
    assert stages["text_encoder"]["share"]["fp32"] > 0 and "share of int8" in told.markdown()
    # Of the sampler one evaluation, of the field as many points as the object's mesh needs.
    assert stages["denoiser"]["operations"] == 2 * 2 * 8 * 8 * 8
    points = BundleSide(Bundle.open(toy_bundle), 1).make(Work("a red ball")).places["field"]
    assert stages["field"]["operations"] == round(2 * 2 * 8 * 8 * points)
