"""A foreign program that holds the whole way from noise to latents, in a pipeline without a renderer."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from exporter.adopt.adopt import adopt
from exporter.errors import RecipeError
from exporter.runtime.bundle import Bundle
from exporter.sampling.table import CoefficientTable
from tests.exporter.ball_family import TOLERANCES
from tests.toy_bundle import CONTEXT, KINDS, TOKENIZER, write_toy_bundle

STEPS = 3


@pytest.fixture
def described(tmp_path):
    """The toy's programs, both deployed and as their own reference."""
    folder = write_toy_bundle(tmp_path / "toy", unroll="full")
    rows = {name: np.ones(STEPS) for name in ("timesteps", "input_scale", "noise_levels")}
    table = CoefficientTable(
        **rows, x0=np.ones((STEPS, 2)), coefficients=np.ones((STEPS, 5)), clip=None, init_noise_sigma=2
    )
    (folder / "table.json").write_text(table.to_json())
    names = [name for name in KINDS if name != "renderer"]
    both = {name: dict.fromkeys(("program", "float_program"), f"{name}.onnx") for name in names}
    stages = {name: both[name] | {"kind": KINDS[name]} for name in names}
    stages["denoiser"]["sampling"] = {
        "scheduler": "euler", "steps": STEPS, "guidance_scale": 1.0, "unroll": "full", "latents": "latents",
        "table": "table.json",
    }  # fmt: skip
    stages["field"]["volume"] = {"distance": "signed_distance", "density": "density", "color": "color"}
    data = {
        "name": "toy",
        "inputs": {
            "prompt": {"kind": "text", "tensor": "input_ids", "file": TOKENIZER, "length": CONTEXT, "pad_id": 0}
        },
        "stages": stages,
        "assets": {"mesh": {"kind": "mesh", "stage": "field", "grid": 24, "extraction": "exact"}},
        "goldens": {"prompts": ["a red ball", "a blue ball"]},
        "validation": {"tolerances": {"fp32": TOLERANCES}},
    }
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    return folder / "pipeline.yaml"


def test_it_is_recorded_and_runs_as_before(described, tmp_path):
    made = adopt(described, tmp_path / "bundle")
    theirs, own = Bundle.open(made.out), Bundle.open(described.parent)
    np.testing.assert_array_equal(*(one.generate("a red ball", grid=24).vertices for one in (theirs, own)))
    (golden,) = made.manifest.goldens["denoiser"]
    with np.load(made.out / golden) as recorded:
        assert sorted(recorded.files) == ["embedding", "latents", "sample"] and recorded["latents"].shape == (2, 2, 4)
        assert 1.5 < recorded["sample"].std() < 2.5
    assert all(one.passed for one in made.parities)


def test_an_open_size_without_a_number_is_told(described, tmp_path):
    data = yaml.safe_load(described.read_text())
    data["inputs"]["prompt"]["tensor"] = "ids"
    described.write_text(yaml.safe_dump(data, sort_keys=False))
    with pytest.raises(RecipeError, match=r"leaves size 1 of 'input_ids' open \(tokens\).*`sizes: \{tokens: 77\}`"):
        adopt(described, tmp_path / "bundle")
