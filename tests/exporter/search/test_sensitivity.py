from __future__ import annotations

import copy
import json
import math

import pytest

from exporter.errors import RecipeError
from exporter.files.cache import Cache
from exporter.machine.meter import Silent
from exporter.recipe.policy import Policy, Rule
from exporter.search import sensitivity
from exporter.search.candidates import parse_candidate
from exporter.search.latency import Timing
from exporter.search.sensitivity import measure

CANDIDATES = [parse_candidate(text) for text in ("int8", "palette:4")]
PRODUCTS = ("layers.1.mlp.fc1", "blocks.1.ff.net.0.proj", "mlp_0_weight")
LAYER = "denoiser/prior.transformer_blocks.1.ff.net.0.proj"


@pytest.fixture(scope="module")
def few(workbench):
    """The workbench with the tables and a few of the products."""
    made = copy.copy(workbench)
    made._found = {
        stage: [entry for entry in own if entry[0].operator == "table" or entry[0].name.endswith(PRODUCTS)]
        for stage, own in workbench._found.items()
    }
    return made


@pytest.fixture(autouse=True)
def _times(monkeypatch):
    """2 ms for each row of a product, half of it saved by int8."""

    def fake(product, candidates, target, cache):
        return Timing(
            2.0 * product.rows, {"int8": 0.5, "palette:4": 1.0}, {"int8": (0.5, 0.5), "palette:4": (1.0, 1.0)}
        )

    monkeypatch.setattr(sensitivity, "time_product", fake)


@pytest.fixture(scope="module")
def measured(few):
    return measure(few, CANDIDATES)


class Interrupting(Silent):
    """Counts the layers and interrupts after some."""

    def __init__(self, after=None):
        self.after = after
        self.counts = []

    def advanced(self, step, done, total):
        self.counts.append((done, total))
        if done == self.after:
            raise KeyboardInterrupt


def losses_of(found, layer):
    return {loss.candidate: loss for loss in found.losses if loss.layer == layer}


def test_every_layer_in_every_candidate_it_can_have(few, measured):
    layers = {(layer.name, layer.operator) for own in few.layers.values() for layer in own}
    found = {(loss.layer, loss.operator): [] for loss in measured.losses}
    for loss in measured.losses:
        found[loss.layer, loss.operator].append(loss.candidate)
    assert found.keys() == layers
    assert {tuple(own) for (_, operator), own in found.items() if operator == "linear"} == {("int8", "palette:4")}
    assert {tuple(own) for (_, operator), own in found.items() if operator == "table"} <= {("palette:4",)}


def test_a_loss_is_that_of_the_layer_alone(few, measured):
    loss = losses_of(measured, LAYER)["palette:4"]
    cost = few.measure(Policy(rules=[Rule(layers=LAYER, precision="palette", bits=4)]))
    assert loss.measured_in == "denoiser" and loss.nsr == cost.noise["denoiser"]
    assert loss.total == pytest.approx(cost.nsr("denoiser")) and loss.snr_db == pytest.approx(
        -10 * math.log10(loss.total)
    )
    assert loss.bytes_saved == measured.stored_bytes["denoiser"] - cost.stored_bytes["denoiser"] > 0
    assert {(entry.stage, entry.measured_in) for entry in measured.losses} == {
        ("text_encoder", "denoiser"), ("denoiser", "denoiser"), ("projector", "projector")
    }  # fmt: skip


def test_milliseconds_are_those_of_one_object(few):
    found = measure(few, CANDIDATES)
    loss = losses_of(found, LAYER)
    # 132 rows at 1 ms saved, seven evaluations of the denoiser.
    assert loss["int8"].milliseconds_saved == pytest.approx(7 * 132)
    assert loss["palette:4"].milliseconds_saved == 0.0
    linear = {entry.layer: entry for entry in found.losses if entry.candidate == "int8"}
    assert found.milliseconds == pytest.approx(2 * sum(entry.milliseconds_saved for entry in linear.values()))


def test_an_interrupted_run_goes_on_where_it_was(few, measured, tmp_path, monkeypatch):
    monkeypatch.setattr(few, "cache", Cache(tmp_path))
    measuring = []
    real = few.measure
    monkeypatch.setattr(few, "measure", lambda policy: measuring.append(policy) or real(policy))
    monkeypatch.setattr(few, "progress", Interrupting(after=3))
    with pytest.raises(KeyboardInterrupt):
        measure(few, CANDIDATES[1:])
    assert len([policy for policy in measuring if policy.rules]) == 3
    monkeypatch.setattr(few, "progress", Interrupting())
    found = measure(few, CANDIDATES[1:])
    tried = [policy.rules[0].layers for policy in measuring if policy.rules]
    assert len(tried) == len(set(tried)) == len({loss.layer for loss in found.losses})
    done, total = few.progress.counts[-1]
    assert done == total


def test_on_another_grid_layers_are_measured_anew(few, tmp_path, monkeypatch):
    monkeypatch.setattr(few, "cache", Cache(tmp_path))
    measuring = []
    real = few.measure
    monkeypatch.setattr(few, "measure", lambda policy: measuring.append(policy) or real(policy))
    measure(few, CANDIDATES[:1])
    before = len(measuring)
    recipe = few.recipe
    calibration = recipe.quantization.calibration
    other = calibration.model_copy(update={"grid": "symmetric" if calibration.grid == "one_sided" else "one_sided"})
    quantization = recipe.quantization.model_copy(update={"calibration": other})
    monkeypatch.setattr(few, "recipe", recipe.model_copy(update={"quantization": quantization}))
    measure(few, CANDIDATES[:1])
    assert len(measuring) == 2 * before


def test_the_same_run_gives_the_same_losses(few, measured, tmp_path, monkeypatch):
    monkeypatch.setattr(few, "cache", Cache(tmp_path))
    again = measure(few, CANDIDATES)
    assert [loss.nsr for loss in again.losses] == [loss.nsr for loss in measured.losses]


def test_a_layer_that_half_precision_cannot_hold_has_no_such_loss(few, tmp_path, monkeypatch):
    from exporter.errors import ValidationFailed

    def refuse(policy):
        if policy.rules:
            raise ValidationFailed("holds 1e9")
        return real(policy)

    real = few.measure
    monkeypatch.setattr(few, "cache", Cache(tmp_path))
    monkeypatch.setattr(few, "measure", refuse)
    assert measure(few, [parse_candidate("fp16")]).losses == []


def test_no_candidate(few):
    with pytest.raises(RecipeError, match="no candidate"):
        measure(few, [])


def test_told_as_json_with_decibels(measured):
    told = json.loads(json.dumps(measured.to_dict()))
    entry = next(entry for entry in told["losses"] if entry["layer"] == LAYER and entry["candidate"] == "int8")
    loss = losses_of(measured, LAYER)["int8"]
    assert entry["snr_db"]["mean"] == pytest.approx(loss.snr_db) and set(entry["snr_db"]) == {*loss.nsr, "mean"}
    assert told["recipe"] == "tiny" and told["prompts"] == 2 and told["machine"]["cores"] >= 1
