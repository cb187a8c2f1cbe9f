"""Shap-E from a picture: openai/shap-e-img2img in diffusers' layout, the small trained model of the zoo, or random
weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel

from exporter.errors import WeightsError
from exporter.families.checkpoint import Checkpoint, Renamed, Taken
from exporter.families.family import ModuleMaker
from exporter.families.part_files import ModelFiles, Needed
from exporter.families.shap_e.image.clip_preprocessing import picture_input
from exporter.families.shap_e.latent_model import LatentModel, random_name, tensor
from exporter.families.shap_e.modules import ImageEncoder
from exporter.families.shap_e.named_weights import NamedWeights
from exporter.families.shap_e.openai_files import open_openai_image
from exporter.families.shap_e.random_weights import FIRST_GAIN, HIDDEN_GAIN, RANDOM_IMAGE_CONFIGS, fill_random_part
from exporter.families.shap_e.shap_e_pipeline import PictureParts, ShapEImageOriginal
from exporter.families.weights import fill
from exporter.pipeline.inputs import Input, PictureInput
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
"""The file in each part's folder that says how it is built."""
PARTS = tuple(CONFIGS)
WITHOUT_TENSORS = ("image_processor", "scheduler")
NEEDED = {part: Needed(files=((file,),), tensors=part not in WITHOUT_TENSORS) for part, file in CONFIGS.items()}
# Published files name the tower inside a larger model, transformers' own class does not.
TOWER = "vision_model."


def load(
    weights: str, *, variant: str | None = None, decoder: str | None = None, clip: str | None = None
) -> ShapEImage:
    """Shap-E from a picture with these weights, such as 'shap-e-mini-image': as `NamedWeights.load` has it."""
    return NAMED.load(weights, variant, decoder, clip)


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
        self._picture(None)

    def inputs(self, recipe: Recipe) -> Mapping[str, Input]:
        return {"picture": self._picture(recipe.render.background)}

    def _picture(self, color: Sequence[int] | None) -> PictureInput:
        """Raises WeightsError for preprocessing that no bundle does, or pixels that the tower does not take."""
        background = color or self.configs["shap_e_renderer"].get("background", (255.0, 255.0, 255.0))
        source = picture_input(self.configs["image_processor"], tuple(map(round, background)), self.weights_source)
        if source.size != (size := self.configs["image_encoder"]["image_size"]):
            raise WeightsError(
                f"weights {self.weights_source!r}: image_processor/preprocessor_config.json makes pictures of "
                f"{source.size} pixels, image_encoder/config.json wants {size}: they are of different models"
            )
        return source

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
        renderer = cache(lambda: self.renderer_before(recipe))
        parts = PictureParts(cache(self.image_encoder), cache(self.prior), renderer, cache(self.processor))
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
    identity = json.dumps([size, seed, configs, FIRST_GAIN, HIDDEN_GAIN], sort_keys=True).encode()
    return ShapEImage(
        source=weights,
        digest=hashlib.sha256(identity).hexdigest(),
        trained=False,
        configs=configs,
        fill_part=lambda module, part: fill_random_part(module, seed * len(PARTS) + PARTS.index(part)),
    )


def _of_hub(files: ModelFiles) -> ShapEImage:
    configs = {part: files.parts[part].json(file) for part, file in CONFIGS.items()}
    return _of_files(files, configs, lambda part: files.parts[part].checkpoint())


def _of_files(
    files: ModelFiles, configs: dict[str, dict[str, Any]], checkpoint: Callable[[str], Checkpoint]
) -> ShapEImage:
    return ShapEImage(
        source=files.source,
        digest=files.digest,
        trained=True,
        configs=configs,
        fill_part=lambda module, part: fill(module, _as_class_names(part, checkpoint(part))),
        files=files.files,
        notes=files.notes,
    )


def _as_class_names(part: str, found: Checkpoint) -> Checkpoint:
    if part != "image_encoder":
        return found
    return Renamed(found, {name.removeprefix(TOWER): Taken(name, shape) for name, shape in found.shapes.items()})


NAMED = NamedWeights(
    condition="image",
    zoo=ZOO_MODELS,
    needed=NEEDED,
    random=_random,
    open_openai=open_openai_image,
    of_openai=lambda model: _of_files(model.files, model.configs, model.checkpoints.__getitem__),
    of_hub=_of_hub,
)
