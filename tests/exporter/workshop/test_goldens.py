"""What is recorded of the reference."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.families.registry import load_model
from exporter.workshop import goldens
from tests.exporter.quantize.bench import tiny_recipe
from tests.exporter.tiny import write_tiny_shap_e


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    weights = write_tiny_shap_e(tmp_path_factory.mktemp("tiny"))
    recipe = tiny_recipe(weights)
    section = recipe.goldens.model_copy(update={"prompts": ["a red chair", "a blue mug"]})
    recipe = recipe.model_copy(update={"goldens": section})
    model = load_model("shap-e", str(weights))

    def record(folder, **sampler):
        told = []
        asked = recipe.model_copy(update={"sampler": recipe.sampler.model_copy(update=sampler)})
        goldens.record(model, asked, folder, lambda done, total: told.append((done, total)))
        return {path.stem: dict(np.load(path)) for path in folder.glob("*.npz")}, told

    return record


def test_a_whole_trajectory_is_recorded_and_its_end_decoded(recorded, tmp_path):
    files, told = recorded(tmp_path)
    assert told == [(i, 7) for i in range(1, 8)]
    assert np.array_equal(files["projector_000"]["latents"], files["denoiser_006"]["next_sample"])
    assert len(files["text_encoder_000"]["input_ids"]) == len(files["field_000"]["points"]) == 2


def test_of_a_large_trajectory_its_beginning_is_recorded_for_the_prompts_that_are_kept(recorded, tmp_path, monkeypatch):
    monkeypatch.setattr(goldens, "TRAJECTORY_ELEMENTS", 1)
    monkeypatch.setattr(goldens, "FILE_ELEMENTS", 1)
    files, told = recorded(tmp_path)
    assert told == [(1, 2), (2, 2)]
    prediction = files["denoiser_001"]["prediction"]
    assert len(prediction) == len(files["projector_000"]["latents"]) == len(files["renderer_000"]["rays"]) == 1
    assert np.abs(files["projector_000"]["latents"]).max() <= np.abs(prediction).max()
    assert len(files["text_encoder_000"]["input_ids"]) == 2


def test_of_a_large_trajectory_an_evaluation_with_guidance_is_recorded(recorded, tmp_path, monkeypatch):
    monkeypatch.setattr(goldens, "TRAJECTORY_ELEMENTS", 1)
    # The noise levels are 403, 65 twice, 5.4 twice and 0.1 twice: the fourth evaluation is the first in the interval.
    files, told = recorded(tmp_path, guidance_interval=[0.0, 8.0])
    assert told[-1] == (4, 4) and "denoiser_003" in files
