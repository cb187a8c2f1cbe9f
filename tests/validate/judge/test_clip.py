"""The judge reads any CLIP folder and preprocesses as transformers does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from validate.judge.clip import Evaluator
from validate.judge.judge_errors import EvaluatorError
from validate.judge.preprocess import ImagePreprocess


def images(count: int, height: int = 40, width: int = 56) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def test_embeddings_are_unit_vectors_and_independent_of_the_batch(clip_folder: Path) -> None:
    evaluator = Evaluator.load(clip_folder)
    pictures, texts = images(5), ["a red ball", "a blue box", "something green"]
    whole = evaluator.embed_images(pictures)
    assert whole.shape == (5, 12) and whole.dtype == np.float32
    assert np.allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-6)
    assert np.allclose(evaluator.embed_images(pictures, batch=2), whole, atol=1e-6)
    together = evaluator.embed_texts(texts)
    assert np.allclose(np.concatenate([evaluator.embed_texts([text]) for text in texts]), together, atol=1e-6)
    assert evaluator.embed_texts([]).shape == evaluator.embed_images(pictures[:0]).shape == (0, 12)


def test_embeddings_equal_those_of_clip_model(clip_folder: Path) -> None:
    evaluator, model = Evaluator.load(clip_folder), CLIPModel.from_pretrained(clip_folder).eval()
    pixels = CLIPImageProcessorPil.from_pretrained(clip_folder)(list(images(3)), return_tensors="pt")["pixel_values"]
    encoded = evaluator.tokenizer.encode_batch(["a red ball", "something"])
    ids = torch.tensor([row.ids for row in encoded])
    mask = torch.tensor([row.attention_mask for row in encoded])
    with torch.inference_mode():
        output = model(input_ids=ids, attention_mask=mask, pixel_values=pixels)
    assert np.allclose(evaluator.embed_images(images(3)), output.image_embeds.numpy(), atol=1e-5)
    assert np.allclose(evaluator.embed_texts(["a red ball", "something"]), output.text_embeds.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"size": 20, "crop_size": {"height": 12, "width": 18}},
        {"size": {"height": 24, "width": 10}, "do_center_crop": False},
        {"size": {"shortest_edge": 9}, "crop_size": 16},
        {"do_resize": False, "crop_size": 32, "do_normalize": False},
        {"do_rescale": False, "resample": 2},
    ],
)
def test_preprocessing_equals_transformers(clip_folder: Path, change: dict) -> None:
    config = json.loads((clip_folder / "preprocessor_config.json").read_text()) | change
    for pictures in (images(2), images(2, 31, 17)):
        expected = CLIPImageProcessorPil(**config)(list(pictures), return_tensors="np")["pixel_values"]
        assert np.allclose(ImagePreprocess.from_config(config)(pictures), expected, atol=1e-4)


def test_a_long_caption_is_truncated_and_keeps_its_end(clip_folder: Path) -> None:
    evaluator = Evaluator.load(clip_folder)
    long = "a small red ball a large blue box a cone"
    ids = evaluator.tokenizer.encode(long).ids
    assert len(ids) == 8 and ids[-1] == evaluator.tokenizer.token_to_id("<end>")
    assert np.allclose(evaluator.embed_texts([long]), evaluator.embed_texts(["a small red ball a large"]))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"])
def test_a_missing_file_is_named(clip_folder: Path, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(clip_folder, tmp_path / "judge"))
    (folder / name).unlink()
    with pytest.raises(EvaluatorError, match=name):
        Evaluator.load(folder)


def test_truncated_weights_and_pickles_are_refused(clip_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(clip_folder, tmp_path / "judge"))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(EvaluatorError, match="does not load"):
        Evaluator.load(folder)
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(EvaluatorError, match=r"model\.safetensors is missing"):
        Evaluator.load(folder)


def test_another_model_is_refused(clip_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(clip_folder, tmp_path / "judge"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "siglip"}))
    with pytest.raises(EvaluatorError, match="another model than CLIP"):
        Evaluator.load(folder)


def test_bad_pictures_are_refused(clip_folder: Path) -> None:
    with pytest.raises(ValueError, match="uint8"):
        Evaluator.load(clip_folder).embed_images(images(1).astype(np.float32))
