"""The judge: any CLIP in the hub's folder layout, turned into two embedding functions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import exporter
from exporter.files.atomic import sha256_of
from validate.judge.judge_errors import EvaluatorError
from validate.judge.preprocess import ImagePreprocess

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import CLIPModel

WEIGHTS = "model.safetensors"
SHIPPED_EVALUATOR = Path(exporter.__path__[0]) / "zoo" / "shap_e_mini_evaluator"


class Evaluator:
    """A CLIP model with its tokenizer and image preprocessing; both towers give L2-normalised embeddings."""

    def __init__(self, model: CLIPModel, tokenizer: Tokenizer, preprocess: ImagePreprocess, name: str, digest: str):
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.preprocess = preprocess
        self.name = name
        self.digest = digest

    @classmethod
    def load(cls, folder: Path | str) -> Evaluator:
        """Load `config.json`, `model.safetensors`, the tokenizer and `preprocessor_config.json` of a folder.

        Raises EvaluatorError naming the missing folder, or the missing or unreadable file. Only safetensors are read,
        never pickles.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise EvaluatorError(
                f"evaluator {folder}: no such folder. A CLIP of the hub is downloaded first, as in "
                "`hf download openai/clip-vit-base-patch32 --local-dir clip-vit-base-patch32`"
            )
        for required in ("config.json", WEIGHTS, "preprocessor_config.json"):
            if not (folder / required).is_file():
                raise EvaluatorError(
                    f"evaluator {folder}: {required} is missing. An evaluator is a CLIP folder in the hub's layout: "
                    f"config.json, {WEIGHTS}, preprocessor_config.json, tokenizer.json (or vocab.json and merges.txt)."
                )
        model = _load_model(folder)
        tokenizer = _load_tokenizer(folder, model.config.text_config)
        preprocess = ImagePreprocess.from_config(_read_json(folder / "preprocessor_config.json"))
        return cls(model, tokenizer, preprocess, folder.name, _digest(folder))

    def embed_images(self, images: NDArray[np.uint8], batch: int = 64) -> NDArray[np.float32]:
        """uint8 [n, h, w, 3] -> L2-normalised float32 [n, d]."""
        import torch

        rows = []
        with torch.inference_mode():
            for start in range(0, len(images), batch):
                pixels = torch.from_numpy(self.preprocess(images[start : start + batch]))
                pooled = self.model.vision_model(pixel_values=pixels).pooler_output
                rows.append(self.model.visual_projection(pooled).numpy())
        return _normalise(np.concatenate(rows)) if rows else self._empty()

    def embed_texts(self, texts: Sequence[str], batch: int = 256) -> NDArray[np.float32]:
        """Captions -> L2-normalised float32 [n, d]; a caption beyond the context is truncated as CLIP does."""
        import torch

        rows = []
        with torch.inference_mode():
            for start in range(0, len(texts), batch):
                encoded = self.tokenizer.encode_batch(list(texts[start : start + batch]))
                ids = torch.tensor([row.ids for row in encoded], dtype=torch.long)
                pooled = self.model.text_model(input_ids=ids).pooler_output
                rows.append(self.model.text_projection(pooled).numpy())
        return _normalise(np.concatenate(rows)) if rows else self._empty()

    def _empty(self) -> NDArray[np.float32]:
        return np.zeros((0, self.model.config.projection_dim), dtype=np.float32)


def _load_model(folder: Path) -> CLIPModel:
    from safetensors import SafetensorError
    from transformers import CLIPConfig, CLIPModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    described = _read_json(folder / "config.json").get("model_type")
    if described != "clip":
        raise EvaluatorError(f"evaluator {folder}: config.json describes another model than CLIP: {described!r}")
    config = CLIPConfig.from_pretrained(folder, local_files_only=True)
    try:
        loaded: Any = CLIPModel.from_pretrained(
            folder,
            config=config,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            dtype="float32",
        )
    except (SafetensorError, OSError, RuntimeError) as error:
        raise EvaluatorError(f"evaluator {folder}: {WEIGHTS} does not load: {error}") from error
    model, info = loaded
    missing = sorted(info["missing_keys"])
    if missing:
        raise EvaluatorError(f"evaluator {folder}: {WEIGHTS} lacks {len(missing)} tensors, first {missing[0]}")
    return model


def _load_tokenizer(folder: Path, text_config: Any) -> Tokenizer:
    """A `tokenizers` tokenizer that truncates to the context and pads with the end token.

    CLIP pools at the first end token and looks only backwards, so padding with it changes nothing.
    """
    from tokenizers import Tokenizer

    if (folder / "tokenizer.json").is_file():
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    elif (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        from transformers import CLIPTokenizer

        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True).backend_tokenizer
    else:
        raise EvaluatorError(f"evaluator {folder}: neither tokenizer.json nor vocab.json with merges.txt is there")
    tokenizer.no_padding()
    tokenizer.enable_truncation(text_config.max_position_embeddings)
    start, *_, end = [-1, *tokenizer.encode("a").ids]
    if start == end or end >= text_config.vocab_size:
        raise EvaluatorError(f"evaluator {folder}: the tokenizer adds no end token within the model's vocabulary")
    tokenizer.enable_padding(pad_id=end, pad_token=tokenizer.id_to_token(end))
    return tokenizer


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EvaluatorError(f"{path} is not JSON: {error}") from error


def _digest(folder: Path) -> str:
    return sha256_of(folder / WEIGHTS)


def _normalise(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
