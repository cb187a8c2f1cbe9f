"""Shap-E from a picture: openai/shap-e-img2img in diffusers' layout, the small trained model of the zoo, or random
weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel

from exporter.errors import WeightsError
from exporter.families.family import ModuleMaker
from exporter.families.shap_e.image.clip_preprocessing import picture_input
from exporter.families.shap_e.latent_model import LatentModel, changed_weights, random_name, tensor
from exporter.families.shap_e.modules import ImageEncoder
from exporter.families.shap_e.random_weights import RANDOM_IMAGE_CONFIGS, fill_random_part
from exporter.families.shap_e.shap_e_pipeline import PictureParts, ShapEImageOriginal
from exporter.families.weights import digest_parts, fill, find_parts, read_json, require_files
from exporter.pipeline.inputs import PictureInput
from exporter.pipeline.pipeline import PipelineStage
from exporter.recipe.recipe import Recipe

ZOO_MODELS = {"shap-e-mini-image": ("shap_e_mini_image", "shap_e_mini")}
CONFIGS = {
    "image_encoder": "config.json",
    "image_processor": "preprocessor_config.json",
    "prior": "config.json",
    "scheduler": "scheduler_config.json",
    "shap_e_renderer": "config.json",
}
"""The file in each part's folder that says how it is built; weights are looked for when they are read."""
PARTS = tuple(CONFIGS)
# Published files name the tower inside a larger model, transformers' own class does not.
TOWER = "vision_model."


def load(weights: str) -> ShapEImage:
    """Shap-E from a picture with these weights: one of the zoo, a folder, 'org/name' on the hub, 'random:SIZE[:seed]',
    or any of these changed, 'stress:WEIGHTS[:factor]' and 'shaped:WEIGHTS[:shape]', as for texts.

    Raises WeightsError.
    """
    if changed := changed_weights(weights, load):
        return changed
    if weights.startswith("random:"):
        return _random(weights)
    folders = find_parts(weights, ZOO_MODELS, PARTS)
    _require_no_text_model(folders, weights)
    for part, file in CONFIGS.items():
        require_files(folders[part], (file,))
    return ShapEImage(
        source=weights,
        digest=digest_parts(folders),
        trained=True,
        configs={part: read_json(folders[part] / file) for part, file in CONFIGS.items()},
        fill_part=lambda module, part: fill(module, folders[part], TOWER if part == "image_encoder" else ""),
    )


class ShapEImage(LatentModel):
    """Shap-E from a picture. Raises WeightsError for a tower that gives the prior tokens of another width."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        made, taken = self.configs["image_encoder"]["hidden_size"], self.configs["prior"]["embedding_proj_dim"]
        if made != taken:
            raise WeightsError(
                f"weights {self.weights_source!r}: image_encoder/config.json says tokens of {made} numbers, "
                f"prior/config.json wants {taken}: they are of different models"
            )
        self.inputs()

    def inputs(self) -> dict[str, PictureInput]:
        """Raises WeightsError for preprocessing that no bundle does, or pixels that the tower does not take."""
        background = self.configs["shap_e_renderer"].get("background", (255.0, 255.0, 255.0))
        source = picture_input(self.configs["image_processor"], tuple(map(round, background)), self.weights_source)
        if source.size != (size := self.configs["image_encoder"]["image_size"]):
            raise WeightsError(
                f"weights {self.weights_source!r}: image_processor/preprocessor_config.json makes pictures of "
                f"{source.size} pixels, image_encoder/config.json wants {size}: they are of different models"
            )
        return {"picture": source}

    def encoders(self) -> dict[str, PipelineStage]:
        tower = self.configs["image_encoder"]
        size, tokens = tower["image_size"], (tower["image_size"] // tower["patch_size"]) ** 2
        pixels, grid = tensor("pixels", 3, size, size), tensor("grid", tokens, tower["hidden_size"])
        return {"image_encoder": PipelineStage(kind="encode", inputs=[pixels], outputs=[grid])}

    def encoder_modules(self) -> dict[str, ModuleMaker]:
        return {"image_encoder": lambda: ImageEncoder(self.image_encoder())}

    def input_files(self) -> dict[str, bytes]:
        return {}

    def original(self, recipe: Recipe) -> ShapEImageOriginal:
        parts = PictureParts(cache(self.image_encoder), cache(self.prior), cache(self.renderer), cache(self.processor))
        return ShapEImageOriginal(parts, self.pipeline(recipe), recipe, self.scheduler)

    def image_encoder(self) -> CLIPVisionModel:
        """transformers' vision tower with these weights."""
        return self._build(lambda config: CLIPVisionModel(CLIPVisionConfig(**config)), "image_encoder")

    def processor(self) -> CLIPImageProcessorPil:
        """transformers' image processor as it is configured."""
        return CLIPImageProcessorPil(**self.configs["image_processor"])


def _random(weights: str) -> ShapEImage:
    size, seed = random_name(weights, list(RANDOM_IMAGE_CONFIGS))
    configs = RANDOM_IMAGE_CONFIGS[size]
    identity = json.dumps([size, seed, configs], sort_keys=True).encode()
    return ShapEImage(
        source=weights,
        digest=hashlib.sha256(identity).hexdigest(),
        trained=False,
        configs=configs,
        fill_part=lambda module, part: fill_random_part(module, seed * len(PARTS) + PARTS.index(part)),
    )


def _require_no_text_model(folders: Mapping[str, Path], weights: str) -> None:
    root = folders["prior"].parent
    if not folders["image_encoder"].is_dir() and (root / "text_encoder").is_dir():
        raise WeightsError(
            f"weights {weights!r}: there is text_encoder/ and no image_encoder/: this is the model that takes texts; "
            "write `family: shap-e`"
        )
