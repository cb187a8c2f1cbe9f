"""The recorded inputs as a peer's script reads them."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from validate.peers.peer import SCRIPTS


@pytest.fixture
def recorded():
    spec = importlib.util.spec_from_file_location("recorded", SCRIPTS / "recorded.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def shards(tmp_path):
    paths = [tmp_path / f"denoiser_{i:04d}.npz" for i in range(3)]
    for i, path in enumerate(paths):
        np.savez(path, sample=np.full((2, 3), i, np.float32), step=np.array(i), prompts=np.array(["a", "b"]))
    return paths


def test_one_shard_after_the_other_until_none_is_left(recorded, shards):
    reader = recorded.Recorded(shards)
    for _ in range(2):
        seen = [reader.get_next() for _ in range(4)]
        assert [int(inputs["step"]) for inputs in seen[:3]] == [0, 1, 2] and seen[3] is None
        reader.rewind()


def test_prompts_are_no_input_of_a_program(recorded, shards):
    reader = recorded.Recorded(shards)
    assert set(reader.get_first()) == {"sample", "step"}
    assert len(reader) == 3 and reader[2]["sample"][0, 0] == 2
    assert int(reader.get_next()["step"]) == 0


def test_a_script_is_called_with_program_output_and_shards(recorded, shards, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["script.py", "in.onnx", "out.onnx", *map(str, shards)])
    seen = []
    recorded.main(lambda program, output, inputs: seen.append((program.name, output.name, len(inputs))))
    assert seen == [("in.onnx", "out.onnx", 3)]
