"""Shap-E (text to 3D): openai/shap-e in diffusers' layout, the small trained model of the zoo, or random weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from exporter.errors import WeightsError
from exporter.families.family import ModuleMaker
from exporter.families.shap_e.latent_model import FillPart, LatentModel, changed_weights, random_name, tensor
from exporter.families.shap_e.modules import TextEncoder
from exporter.families.shap_e.random_weights import RANDOM_CONFIGS, fill_random_part
from exporter.families.shap_e.shap_e_pipeline import ShapEOriginal, TextParts
from exporter.families.vocabulary import require_words_told_apart
from exporter.families.weights import digest_parts, fill, find_parts, read_json, require_files
from exporter.pipeline.inputs import TextInput
from exporter.pipeline.pipeline import PipelineStage
from exporter.pipeline.tensor import TensorSpec
from exporter.recipe.recipe import Recipe

ZOO_MODELS = {"shap-e-mini": ("shap_e_mini",), "shap-e-mini-4step": ("shap_e_mini_4step", "shap_e_mini")}
TOKENIZER = "tokenizer/tokenizer.json"
PAD_ID = 0
NEEDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "text_encoder": (("config.json",),),
    "tokenizer": (("tokenizer.json",), ("vocab.json", "merges.txt")),
    "prior": (("config.json",),),
    "scheduler": (("scheduler_config.json",),),
    "shap_e_renderer": (("config.json",),),
}
"""The files of each part's folder, one list or another; weights are looked for when they are read."""
PARTS = tuple(NEEDED)
RANDOM_SIZES = [*RANDOM_CONFIGS, "shap-e-mini"]


def load(weights: str) -> ShapE:
    """Shap-E with these weights: 'shap-e-mini' or another of the zoo, a folder, 'org/name' on the hub,
    'random:SIZE[:seed]', or any of these with synthetic outliers, 'stress:WEIGHTS[:factor]', or with a field of a known
    shape, 'shaped:WEIGHTS[:shape]'.

    Raises WeightsError.
    """
    if changed := changed_weights(weights, load):
        return changed
    if weights.startswith("random:"):
        return _random(weights)
    folders = find_parts(weights, ZOO_MODELS, PARTS)
    for part, alternatives in NEEDED.items():
        require_files(folders[part], *alternatives)
    configs = _read_configs(folders)
    return ShapE(
        source=weights,
        digest=digest_parts(folders),
        trained=True,
        configs=configs,
        tokenizer_folder=folders["tokenizer"],
        fill_part=lambda module, part: fill(module, folders[part]),
    )


class ShapE(LatentModel):
    """Shap-E from a text."""

    def __init__(
        self,
        *,
        source: str,
        digest: str,
        trained: bool,
        configs: dict[str, dict[str, Any]],
        tokenizer_folder: Path,
        fill_part: FillPart,
    ) -> None:
        super().__init__(source=source, digest=digest, trained=trained, configs=configs, fill_part=fill_part)
        self.tokenizer_folder = tokenizer_folder
        _require_one_vector(configs["prior"], source)
        self.context_length = configs["text_encoder"]["max_position_embeddings"]
        tokenizer, known = self.tokenizer(), configs["text_encoder"]["vocab_size"]
        require_words_told_apart(lambda text: tokenizer(text).input_ids, known, tokenizer_folder)

    def inputs(self) -> dict[str, TextInput]:
        return {"prompt": TextInput(tensor="input_ids", file=TOKENIZER, length=self.context_length, pad_id=PAD_ID)}

    def encoders(self) -> dict[str, PipelineStage]:
        tokens = TensorSpec("input_ids", "int64", ("batch", self.context_length))
        embedding = tensor("embedding", self.configs["text_encoder"]["projection_dim"])
        return {"text_encoder": PipelineStage(kind="encode", inputs=[tokens], outputs=[embedding])}

    def encoder_modules(self) -> dict[str, ModuleMaker]:
        return {"text_encoder": lambda: TextEncoder(self.text_encoder())}

    def input_files(self) -> dict[str, bytes]:
        return {TOKENIZER: _tokenizer_json(self.tokenizer())}

    def original(self, recipe: Recipe) -> ShapEOriginal:
        parts = TextParts(cache(self.text_encoder), cache(self.prior), cache(self.renderer), cache(self.tokenizer))
        return ShapEOriginal(parts, self.pipeline(recipe), recipe, self.scheduler)

    def tokenizer(self) -> CLIPTokenizer:
        """transformers' tokenizer of these weights. Raises WeightsError where there is none."""
        try:
            return CLIPTokenizer.from_pretrained(
                self.tokenizer_folder, local_files_only=True, model_max_length=self.context_length
            )
        except (OSError, ValueError) as error:
            raise WeightsError(f"{self.tokenizer_folder}: no CLIP tokenizer can be read here ({error})") from error

    def text_encoder(self) -> CLIPTextModelWithProjection:
        """transformers' text encoder with these weights."""
        return self._build(lambda config: CLIPTextModelWithProjection(CLIPTextConfig(**config)), "text_encoder")


def _random(weights: str) -> ShapE:
    size, seed = random_name(weights, RANDOM_SIZES)
    mini = find_parts("shap-e-mini", ZOO_MODELS, PARTS)
    own = _read_configs(mini)
    if size == "shap-e-mini":
        configs = own
    else:
        ends = {
            "eos_token_id": own["text_encoder"]["eos_token_id"],
            "bos_token_id": own["text_encoder"]["bos_token_id"],
        }
        chosen = RANDOM_CONFIGS[size]
        configs = {**chosen, "text_encoder": chosen["text_encoder"] | ends}
    identity = json.dumps([size, seed, configs], sort_keys=True).encode()
    return ShapE(
        source=weights,
        digest=hashlib.sha256(identity).hexdigest(),
        trained=False,
        configs=configs,
        tokenizer_folder=mini["tokenizer"],
        fill_part=lambda module, part: fill_random_part(module, seed * len(PARTS) + PARTS.index(part)),
    )


def _read_configs(folders: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    files = {part: "scheduler_config.json" if part == "scheduler" else "config.json" for part in PARTS}
    return {part: read_json(folders[part] / file) for part, file in files.items() if part != "tokenizer"}


def _require_one_vector(prior: dict[str, Any], source: str) -> None:
    if (norm := prior.get("embedding_proj_norm_type")) is not None:
        raise WeightsError(
            f"weights {source!r}: prior/config.json has embedding_proj_norm_type {norm!r}: this prior is conditioned "
            "on pictures; write `family: shap-e-image`"
        )


def _tokenizer_json(tokenizer: CLIPTokenizer) -> bytes:
    """Truncation and padding are left out of the JSON: the runtime does both, from the context length."""
    data = json.loads(tokenizer.backend_tokenizer.to_str())
    data["truncation"] = None
    data["padding"] = None
    return json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
