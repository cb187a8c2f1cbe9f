from __future__ import annotations

import numpy as np
import pytest

from exporter.runtime.batch import sample_prompts
from exporter.runtime.bundle import Bundle
from exporter.runtime.inputs.prompt_memory import PromptMemory
from tests.toy_bundle import write_toy_bundle


@pytest.fixture
def asked():
    return []


@pytest.fixture
def memory(asked):
    def encode(prompts):
        asked.append(prompts)
        return np.array([[float(len(prompt)), 1.0] for prompt in prompts], np.float32)

    return PromptMemory(encode, most=3)


def test_every_prompt_is_encoded_once_and_new_ones_together(memory, asked):
    assert memory(["aa", "b", "aa"])[:, 0].tolist() == [2, 1, 2]
    assert memory(["b", "cccc", "aa"])[:, 0].tolist() == [1, 4, 2]
    assert asked == [["aa", "b"], ["cccc"]]


def test_what_was_asked_for_longest_ago_is_forgotten(memory, asked):
    memory(["a", "b", "c"])
    memory(["a"])
    memory(["d"])
    memory(["a", "c", "d"])
    memory(["b"])
    assert asked == [["a", "b", "c"], ["d"], ["b"]]
    assert len(memory(["a", "b", "c", "d", "e"])) == 5


def test_what_was_given_out_can_be_changed_without_harm(memory):
    memory(["a"])[:] = 0
    assert memory(["a"]).tolist() == [[1, 1]]


def test_a_bundle_runs_its_text_encoder_once_for_each_prompt(tmp_path, monkeypatch):
    bundle = Bundle.open(write_toy_bundle(tmp_path))
    encoder, rows = bundle.session("text_encoder"), []
    run = encoder.run
    monkeypatch.setattr(encoder, "run", lambda arrays: rows.append(len(arrays["input_ids"])) or run(arrays))
    first = bundle.generate("a red ball", grid=8)
    assert np.array_equal(bundle.generate("a red ball", grid=8).vertices, first.vertices)
    many = ["a red ball", "a blue ball"] * 20
    latents = dict(sample_prompts(bundle, many))
    assert rows == [1, 1] and len(latents) == 40
    assert np.array_equal(latents[0], latents[38]) and not np.array_equal(latents[0], latents[1])
