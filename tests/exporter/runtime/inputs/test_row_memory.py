from __future__ import annotations

import numpy as np
import pytest

from exporter.runtime.batch import made_objects
from exporter.runtime.bundle import Bundle
from exporter.runtime.inputs.row_memory import RowMemory
from exporter.runtime.run import requests_of
from tests.toy_bundle import write_toy_bundle


@pytest.fixture
def computed():
    """The rows of every call of the program."""
    return []


@pytest.fixture
def memory(computed):
    def run(arrays):
        computed.append(arrays["ids"][:, 0].tolist())
        return {"twice": 2.0 * arrays["ids"], "last": arrays["ids"][:, -1]}

    return RowMemory(run, most=3)


def rows(*numbers):
    """One row of token ids for each number."""
    return {"ids": np.array([[number, 7] for number in numbers], np.int64)}


def test_every_row_is_computed_once_and_new_ones_together(memory, computed):
    assert memory(rows(2, 1, 2))["twice"].tolist() == [[4, 14], [2, 14], [4, 14]]
    assert memory(rows(1, 4, 2))["twice"].tolist() == [[2, 14], [8, 14], [4, 14]]
    assert computed == [[2, 1], [4]]


def test_every_output_is_kept_whatever_its_shape(memory):
    for _ in range(2):
        made = memory(rows(1, 2))
        assert made["twice"].shape == (2, 2) and made["last"].tolist() == [7, 7]


def test_rows_are_told_apart_by_all_inputs(computed):
    def run(arrays):
        computed.append(len(arrays["ids"]))
        return {"sum": arrays["ids"].sum(axis=1) + arrays["mask"].sum(axis=1)}

    memory = RowMemory(run)
    ids, masks = np.array([[1, 2]] * 3), np.array([[0, 1], [1, 1], [0, 1]])
    assert memory({"ids": ids, "mask": masks})["sum"].tolist() == [4, 5, 4]
    assert memory({"ids": ids[:1], "mask": masks[1:2]})["sum"].tolist() == [5]
    assert computed == [2]


def test_what_was_wanted_longest_ago_is_forgotten(memory, computed):
    memory(rows(1, 2, 3))
    memory(rows(1))
    memory(rows(4))
    memory(rows(1, 3, 4))
    memory(rows(2))
    assert computed == [[1, 2, 3], [4], [2]]
    assert len(memory(rows(1, 2, 3, 4, 5))["twice"]) == 5


def test_what_was_given_out_can_be_changed_without_harm(memory):
    memory(rows(1))["twice"][:] = 0
    assert memory(rows(1))["twice"].tolist() == [[2, 14]]


def test_a_bundle_runs_its_text_encoder_once_for_each_prompt(tmp_path, monkeypatch):
    bundle = Bundle.open(write_toy_bundle(tmp_path))
    encoder, computed = bundle.session("text_encoder"), []
    run = encoder.run
    monkeypatch.setattr(encoder, "run", lambda arrays: computed.append(len(arrays["input_ids"])) or run(arrays))
    first = bundle.generate("a red ball", grid=8)
    assert np.array_equal(bundle.generate("a red ball", grid=8).vertices, first.vertices)
    many = requests_of(bundle.pipeline, ["a red ball", "a blue ball"] * 20)
    latents = [run["latents"] for run in made_objects(bundle, many, [0] * 40)]
    assert computed == [1, 1] and len(latents) == 40
    assert np.array_equal(latents[0], latents[38]) and not np.array_equal(latents[0], latents[1])
