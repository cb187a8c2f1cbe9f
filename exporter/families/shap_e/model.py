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
from exporter.families.part_files import ModelFiles, Needed, find_parts
from exporter.families.shap_e.latent_model import LatentModel, random_name, tensor
from exporter.families.shap_e.modules import TextEncoder
from exporter.families.shap_e.named_weights import NamedWeights
from exporter.families.shap_e.openai_files import OpenAIModel, open_openai_text
from exporter.families.shap_e.random_weights import FIRST_GAIN, HIDDEN_GAIN, RANDOM_CONFIGS, fill_random_part
from exporter.families.shap_e.shap_e_pipeline import ShapEOriginal, TextParts
from exporter.families.vocabulary import require_clips_own, require_words_told_apart
from exporter.families.weights import fill
from exporter.pipeline.inputs import Input, TextInput
from exporter.pipeline.pipeline import PipelineStage
from exporter.pipeline.tensor import TensorSpec
from exporter.recipe.recipe import Recipe

ZOO_MODELS = {"shap-e-mini": ("shap_e_mini",), "shap-e-mini-4step": ("shap_e_mini_4step", "shap_e_mini")}
TOKENIZER = "tokenizer/tokenizer.json"
PAD_ID = 0
NEEDED = {
    "text_encoder": Needed(files=(("config.json",),)),
    "tokenizer": Needed(
        files=(("tokenizer.json",), ("vocab.json", "merges.txt")),
        optional=("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
        tensors=False,
    ),
    "prior": Needed(files=(("config.json",),)),
    "scheduler": Needed(files=(("scheduler_config.json",),), tensors=False),
    "shap_e_renderer": Needed(files=(("config.json",),)),
}
PARTS = tuple(NEEDED)
RANDOM_SIZES = [*RANDOM_CONFIGS, "shap-e-mini"]


def load(weights: str, *, variant: str | None = None, decoder: str | None = None, clip: str | None = None) -> ShapE:
    """Shap-E with these weights, such as 'shap-e-mini': as `NamedWeights.load` has it."""
    return NAMED.load(weights, variant, decoder, clip)


class ShapE(LatentModel):
    """Shap-E from a text."""

    def __init__(self, *, tokenizer_folder: Path, **given: Any) -> None:
        super().__init__(**given)
        self.tokenizer_folder = tokenizer_folder
        _require_one_vector(self.configs["prior"], self.weights_source)
        self.context_length = self.configs["text_encoder"]["max_position_embeddings"]
        tokenizer, known = self.tokenizer(), self.configs["text_encoder"]["vocab_size"]
        require_words_told_apart(lambda text: tokenizer(text).input_ids, known, tokenizer_folder)
        require_clips_own(lambda text: tokenizer(text).input_ids, len(tokenizer), tokenizer_folder)

    def inputs(self, recipe: Recipe) -> Mapping[str, Input]:
        length, clean = self.context_length, recipe.tokenizer.clean
        return {"prompt": TextInput(tensor="input_ids", file=TOKENIZER, length=length, pad_id=PAD_ID, clean=clean)}

    def encoders(self) -> dict[str, PipelineStage]:
        tokens = TensorSpec("input_ids", "int64", ("batch", self.context_length))
        embedding = tensor("embedding", self.configs["text_encoder"]["projection_dim"])
        return {"text_encoder": PipelineStage(kind="encode", inputs=[tokens], outputs=[embedding])}

    def encoder_modules(self) -> dict[str, ModuleMaker]:
        return {"text_encoder": lambda: TextEncoder(self.text_encoder())}

    def input_files(self) -> dict[str, bytes]:
        return {TOKENIZER: _tokenizer_json(self.tokenizer())}

    def original(self, recipe: Recipe) -> ShapEOriginal:
        renderer = cache(lambda: self.renderer_before(recipe))
        parts = TextParts(cache(self.text_encoder), cache(self.prior), renderer, cache(self.tokenizer))
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


def _of_openai(published: OpenAIModel) -> ShapE:
    model = _of_files(published.files, published.configs)
    model.fill_part = lambda module, part: fill(module, published.checkpoints[part])
    return model


def _of_files(files: ModelFiles, configs: dict[str, dict[str, Any]]) -> ShapE:
    return ShapE(
        source=files.source,
        digest=files.digest,
        trained=True,
        configs=configs,
        tokenizer_folder=files.parts["tokenizer"].folder,
        fill_part=lambda module, part: fill(module, files.parts[part].checkpoint()),
        files=files.files,
        notes=files.notes,
    )


def _random(weights: str) -> ShapE:
    size, seed = random_name(weights, RANDOM_SIZES)
    mini = find_parts("shap-e-mini", ZOO_MODELS, NEEDED)
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
    identity = json.dumps([size, seed, configs, FIRST_GAIN, HIDDEN_GAIN], sort_keys=True).encode()
    return ShapE(
        source=weights,
        digest=hashlib.sha256(identity).hexdigest(),
        trained=False,
        configs=configs,
        tokenizer_folder=mini.parts["tokenizer"].folder,
        fill_part=lambda module, part: fill_random_part(module, seed * len(PARTS) + PARTS.index(part)),
    )


def _read_configs(files: ModelFiles) -> dict[str, dict[str, Any]]:
    names = {part: "scheduler_config.json" if part == "scheduler" else "config.json" for part in PARTS}
    return {part: files.parts[part].json(name) for part, name in names.items() if part != "tokenizer"}


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


NAMED = NamedWeights(
    condition="text",
    zoo=ZOO_MODELS,
    needed=NEEDED,
    random=_random,
    open_openai=lambda folder, decoder, clip: open_openai_text(folder, NEEDED["tokenizer"], decoder, clip),
    of_openai=_of_openai,
    of_hub=lambda files: _of_files(files, _read_configs(files)),
)
