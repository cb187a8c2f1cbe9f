from __future__ import annotations

import itertools
import math
import os

import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from exporter.search.losses import Loss
from exporter.search.search import EXCEPTION, GAP, TIE_BREAK, budget_of, pareto_front, search

CANDIDATES = ("int8", "int4_weights", "palette:2")


def loss(layer, candidate, nsr, size, milliseconds=0.0, stage="denoiser"):
    parts = {"early": 0.5 * nsr, "late": 1.5 * nsr}
    return Loss(stage, f"{stage}/{layer}", "linear", candidate, stage, parts, size, milliseconds)


def names(choice):
    return {layer: chosen.candidate for (layer, _), chosen in choice.chosen.items()}


losses_of = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from(CANDIDATES),
        st.sampled_from(["denoiser", "projector"]),
        st.floats(1e-6, 1.0),
        st.integers(-50, 1000),
    ),
    max_size=10,
    unique_by=lambda entry: (entry[0], entry[1], entry[2]),
).map(lambda entries: [loss(layer, name, nsr, size, stage=stage) for layer, name, stage, nsr, size in entries])


def best_size(losses, budget):
    """By trying everything."""
    layers = sorted({entry.layer for entry in losses})
    options = [[None, *(entry for entry in losses if entry.layer == layer)] for layer in layers]
    best = 0
    for combination in itertools.product(*options):
        picked = [entry for entry in combination if entry]
        spent = [sum(e.total for e in picked if e.measured_in == stage) for stage in ("denoiser", "projector")]
        if max(spent) <= budget:
            best = max(best, sum(entry.bytes_saved for entry in picked))
    return best


@given(losses_of, st.floats(1e-4, 2.0))
def test_nothing_that_fits_saves_more(losses, budget):
    choice = search(losses, "size", budget)
    assert all(nsr <= budget * (1 + 1e-5) for nsr in choice.nsr.values())
    most = max([0, *(entry.bytes_saved for entry in losses)])
    # For each layer may be lost what an exception has to be worth.
    layers = len({entry.layer for entry in losses})
    assert choice.bytes_saved >= best_size(losses, budget) - (EXCEPTION + TIE_BREAK + GAP) * layers * most


def test_each_stage_that_noise_is_measured_in_has_a_budget_of_its_own():
    losses = [loss("a", "int8", 0.9, 10), loss("b", "int8", 0.9, 20), loss("c", "int8", 0.9, 5, stage="projector")]
    assert names(search(losses, "size", 1.0)) == {"denoiser/b": "int8", "projector/c": "int8"}


def test_an_encoder_shares_the_budget_of_the_sampler_that_it_is_measured_in():
    parts = {"early": 0.9}
    encoder = Loss("text_encoder", "text_encoder/a", "linear", "int8", "denoiser", parts, 10, 0.0)
    losses = [encoder, loss("b", "int8", 0.9, 20), loss("c", "int8", 0.9, 5, stage="projector")]
    choice = search(losses, "size", 1.0)
    assert names(choice) == {"denoiser/b": "int8", "projector/c": "int8"}
    assert choice.nsr == {"denoiser": pytest.approx(0.9), "projector": pytest.approx(0.9)}
    assert names(search(losses, "size", 2.0)).keys() == {"text_encoder/a", "denoiser/b", "projector/c"}


def test_the_objective_decides_and_the_other_saving_breaks_ties():
    losses = [loss("a", "int8", 0.01, 70, 5.0), loss("a", "int8_dynamic", 0.01, 75, 4.0)]
    assert names(search(losses, "latency", 0.1)) == {"denoiser/a": "int8"}
    assert names(search(losses, "size", 0.1)) == {"denoiser/a": "int8_dynamic"}
    alike = [loss("a", "fp16", 0.01, 50), loss("a", "palette:4", 0.02, 80)]
    assert names(search(alike, "latency", 0.1)) == {"denoiser/a": "palette:4"}


def test_of_what_saves_alike_the_better_is_taken():
    noise = {"int4_weights": 0.02, "int4_weights:gptq": 0.01}
    losses = [loss(f"{i}", name, nsr, 87, 1.0) for i in range(9) for name, nsr in noise.items()]
    assert set(names(search(losses, "size", 10.0)).values()) == {"int4_weights:gptq"}


def test_layers_stay_alike_where_little_is_lost_by_it():
    losses = [loss(f"{i}", "int8", 0.01, 100) for i in range(10)] + [loss("0", "palette:2", 0.01, 102)]
    assert names(search(losses, "size", 1.0))["denoiser/0"] == "int8"
    losses[-1] = loss("0", "palette:2", 0.01, 120)
    assert names(search(losses, "size", 1.0))["denoiser/0"] == "palette:2"


def test_what_is_free_is_taken_whatever_the_objective():
    losses = [loss(f"{i}", "fp16", 1e-9, 50) for i in range(200)] + [loss("0", "int8", 1e-3, 75, 1.0)]
    found = names(search(losses, "latency", 0.01))
    assert found == dict.fromkeys(found, "fp16") | {"denoiser/0": "int8"} and len(found) == 200


def test_what_makes_things_worse_is_never_chosen():
    assert not search([loss("a", "int8", 1e-6, -10, -1.0)], "latency", 1.0).chosen
    assert not search([loss("a", "int8", math.inf, 10)], "size", 1.0).chosen
    assert not search([], "size", 1.0).chosen


def test_without_a_budget_everything_stays_as_it_is():
    assert not search([loss("a", "int8", 0.1, 10)], "size", 0.0).chosen


@pytest.mark.parametrize("objective", ["size", "latency"])
def test_the_same_losses_give_the_same_choice(objective):
    losses = [
        loss(f"{i}", name, 10 ** -(2 + (i * 7 + j * 3) % 5 / 2), 100 * (j + 1), (i % 4) * (3 - j))
        for i in range(60)
        for j, name in enumerate(CANDIDATES)
    ]
    first = search(losses, objective, 0.05)
    assert first == search(losses, objective, 0.05) and len(first.chosen) > 0


def test_the_front_trades_one_for_the_other():
    losses = [
        loss(f"{i}", name, 10**-power, 100 - 20 * power) for i in range(5) for power, name in enumerate(CANDIDATES, 1)
    ]
    front = pareto_front(losses, "size", [30, 5, 10, 20, 60])
    assert [choice.budget for choice in front] == sorted((choice.budget for choice in front), reverse=True)
    saved = [choice.bytes_saved for choice in front]
    assert saved == sorted(saved, reverse=True) and len(set(saved)) == len(saved)
    assert not front[-1].chosen


def test_a_budget_in_decibels():
    assert budget_of(20) == pytest.approx(0.01)


def test_the_solver_is_silent(capfd, monkeypatch):
    def loud(*arguments, **settings):
        os.write(1, b"HighsMipSolverData")
        return scipy.optimize.milp(*arguments, **settings)

    monkeypatch.setattr("exporter.search.search.milp", loud)
    assert search([loss("a", "int8", 0.1, 10)], "size", 0.3).chosen
    os.write(1, b"heard")
    assert capfd.readouterr().out == "heard"
