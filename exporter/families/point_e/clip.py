"""CLIP as Point-E is conditioned on it: openai/clip-vit-large-patch14 in the hub's layout, or random of any size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModel,
    CLIPVisionModelWithProjection,
)

from exporter.errors import WeightsError
from exporter.families.clip_files import CLIP_ON_THE_HUB, TEXT_HALF, VISION_HALF, half_of
from exporter.families.part_files import PartFiles
from exporter.families.weights import fill, fill_random, without_initialisation

TOKENIZER_FILES = ("tokenizer.json", "vocab.json")
# As CLIP was trained; they stand in its preprocessor_config.json.
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class ClipTowers:
    """Both towers' configurations, where the tokenizer is, and what makes a filled module of a class and its
    configuration. `vision_class`: transformers' class of the vision tower; one without a projection has grids alone."""

    text: CLIPTextConfig
    vision: CLIPVisionConfig
    tokenizer_folder: Path
    make: Callable[[type, Any], nn.Module]
    vision_class: type = CLIPVisionModelWithProjection

    def tokenizer(self) -> CLIPTokenizer:
        """Raises WeightsError where there is none."""
        if not any((self.tokenizer_folder / name).is_file() for name in TOKENIZER_FILES):
            raise WeightsError(f"{self.tokenizer_folder}: lacks the tokenizer, {' or '.join(TOKENIZER_FILES)}")
        return CLIPTokenizer.from_pretrained(
            self.tokenizer_folder, local_files_only=True, model_max_length=self.text.max_position_embeddings
        )

    def text_encoder(self) -> TextVector:
        return TextVector(self.make(CLIPTextModelWithProjection, self.text))

    def picture_encoder(self, vector: bool, grid: bool) -> PictureEncoder:
        return PictureEncoder(self.make(self.vision_class, self.vision), vector, grid)

    @property
    def grid_tokens(self) -> int:
        """Of a picture, without the class token."""
        return (self.picture_size // cast(int, self.vision.patch_size)) ** 2

    @property
    def picture_size(self) -> int:
        """Pixels along each edge."""
        return cast(int, self.vision.image_size)


class TextVector(nn.Module):
    """Token ids [B,T] to unit vectors [B,E]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return _unit(self.model(input_ids=input_ids).text_embeds)


class PictureEncoder(nn.Module):
    """Pixels [B,3,S,S] to unit vectors [B,E] and to grids [B,T,W], or to one of both.

    A grid is what the last block gives, neither normalised nor projected, without the class token.
    """

    def __init__(self, model: Any, vector: bool, grid: bool) -> None:
        super().__init__()
        self.model = model
        self.vector, self.grid = vector, grid

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        made = self.model(pixel_values=pixels)
        vector = (_unit(made.image_embeds),) if self.vector else ()
        return (*vector, made.last_hidden_state[:, 1:]) if self.grid else vector


def read_clip(files: PartFiles) -> ClipTowers:
    """CLIP of files in the hub's layout. Raises WeightsError."""
    config = files.json("config.json")
    if not isinstance(config, dict) or not {"text_config", "vision_config"} <= config.keys():
        raise WeightsError(f"{files.folder}/config.json: no text_config and vision_config, as {CLIP_ON_THE_HUB} has")
    width = {"projection_dim": config["projection_dim"]}
    text, vision = CLIPTextConfig(**width | config["text_config"]), CLIPVisionConfig(**width | config["vision_config"])

    def make(kind: type, own: Any) -> nn.Module:
        with without_initialisation():
            made: nn.Module = kind(own)
        fill(made, half_of(files.checkpoint(), TEXT_HALF if own is text else VISION_HALF))
        return made.float().eval().requires_grad_(False)

    return ClipTowers(text, vision, files.folder, make)


def read_towers(text: PartFiles, tokenizer: PartFiles, vision: PartFiles) -> ClipTowers:
    """CLIP whose halves lie in folders of their own, as in diffusers' layout; the vision tower has no projection.
    Raises WeightsError."""
    words, seen = CLIPTextConfig(**text.json("config.json")), CLIPVisionConfig(**vision.json("config.json"))

    def make(kind: type, own: Any) -> nn.Module:
        with without_initialisation():
            made: nn.Module = kind(own)
        fill(made, (text if own is words else vision).checkpoint())
        return made.float().eval().requires_grad_(False)

    return ClipTowers(words, seen, tokenizer.folder, make, CLIPVisionModel)


def random_clip(text: CLIPTextConfig, vision: CLIPVisionConfig, tokenizer_folder: Path, seed: int) -> ClipTowers:
    """CLIP of these sizes with random weights."""

    def make(kind: type, own: Any) -> nn.Module:
        with without_initialisation():
            made = kind(own)
        fill_random(made, seed)
        return made.float().eval().requires_grad_(False)

    return ClipTowers(text, vision, tokenizer_folder, make)


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    return vectors / torch.linalg.norm(vectors, dim=-1, keepdim=True)
