"""What is recorded of the original."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.errors import ValidationFailed
from exporter.runtime.inputs.noise import noise
from exporter.runtime.inputs.tokenizer import PromptTokenizer
from exporter.sampling.table import table_of
from exporter.workshop import goldens
from tests.exporter.quantize.bench import tiny_recipe

PROMPTS = ["a red chair", "a blue mug"]


@pytest.fixture(scope="module")
def recipe(tiny_folder):
    recipe = tiny_recipe(tiny_folder)
    section = recipe.goldens.model_copy(update={"prompts": PROMPTS, "seed": 3})
    return recipe.model_copy(update={"goldens": section})


@pytest.fixture(scope="module")
def recorded(tiny, recipe):
    def record(folder, **sampler):
        told = []
        asked = recipe.model_copy(update={"sampler": recipe.sampler.model_copy(update=sampler)})
        goldens.record(tiny, asked, folder, lambda done, total: told.append((done, total)))
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


@pytest.mark.parametrize(("clips", "within"), [(True, 0.01), (False, np.inf)])
def test_the_shortened_trajectory_of_a_model_that_clips_nothing_is_not_clipped(
    recorded, tiny, tmp_path, monkeypatch, clips, within
):
    monkeypatch.setattr(goldens, "TRAJECTORY_ELEMENTS", 1)
    own = type(tiny).scheduler

    def scheduler(self, stage):
        made = own(self, stage)
        made.register_to_config(clip_sample=clips, clip_sample_range=0.01)
        return made

    monkeypatch.setattr(type(tiny), "scheduler", scheduler)
    files, _ = recorded(tmp_path, clamp="diffusers")
    prediction, latents = files["denoiser_001"]["prediction"], files["projector_000"]["latents"]
    assert np.abs(prediction).max() > 0.01
    assert np.array_equal(latents, prediction[: len(latents)].clip(-within, within))


def test_of_a_large_trajectory_an_evaluation_with_guidance_is_recorded(recorded, tmp_path, monkeypatch):
    monkeypatch.setattr(goldens, "TRAJECTORY_ELEMENTS", 1)
    # The noise levels are 403, 65 twice, 5.4 twice and 0.1 twice: the fourth evaluation is the first in the interval.
    files, told = recorded(tmp_path, guidance_interval=[0.0, 8.0])
    assert told[-1] == (4, 4) and "denoiser_003" in files


@pytest.mark.parametrize("unroll", ["step", "loop"])
def test_every_object_is_made_from_the_noise_of_its_own_seed(recorded, recipe, tiny, tmp_path, unroll):
    files, _ = recorded(tmp_path, unroll=unroll)
    sigma = np.float32(table_of(recipe.sampler, tiny.scheduler("denoiser")).init_noise_sigma)
    drawn = np.stack([noise(seed, (64, 20)) for seed in (3, 4)])
    np.testing.assert_allclose(files["denoiser_000"]["sample"], sigma * drawn, rtol=1e-6)


def test_of_a_sampler_in_one_program_the_ends_are_recorded_under_its_stage(recorded, tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "steps").mkdir()
    files, told = recorded(tmp_path / "whole", unroll="full")
    assert {name for name in files if name.startswith("denoiser")} == {"denoiser_000"} and told[-1] == (7, 7)
    whole = files["denoiser_000"]
    assert whole.keys() == {"sample", "embedding", "latents"}
    assert np.array_equal(whole["latents"], recorded(tmp_path / "steps")[0]["denoiser_006"]["next_sample"])


def test_a_tokenizer_that_reads_in_another_way_than_the_original_is_refused(recorded, tmp_path, monkeypatch):
    monkeypatch.setattr("exporter.families.shap_e.model.PAD_ID", 1)
    with pytest.raises(
        ValidationFailed, match=r"tokenizer\.json reads 'a red chair' as the tokens .*, 1\], the original"
    ):
        recorded(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_tokens_that_are_recorded_are_those_of_the_file_that_travels_along(recorded, recipe, tiny, tmp_path):
    source = tiny.pipeline(recipe).inputs["prompt"]
    tokenizer = PromptTokenizer(tiny.input_files()[source.file], source.length, source.pad_id)
    files, _ = recorded(tmp_path)
    assert np.array_equal(files["text_encoder_000"][source.tensor], tokenizer.encode(PROMPTS))
