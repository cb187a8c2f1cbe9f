"""Random Point-Es at the published sizes, and a tiny one for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import nn
from transformers import CLIPTextConfig, CLIPVisionConfig

from exporter.families.part_files import read_json
from exporter.families.point_e.network_file import bare_network
from exporter.families.point_e.networks import DiffusionSize, DistanceSize, SignedDistance
from exporter.families.weights import fill_random, without_initialisation
from exporter.recipe.weights_name import ZOO

VECTOR_WIDTH, GRID_WIDTH = 768, 1024
SDF = DistanceSize(256, 8, 4)
TINY_WIDTH = 128
CLOUDS_SHARE = 0.25
TOKENIZER_MODEL = "shap_e_mini"


@dataclass(frozen=True)
class RandomSize:
    """`vision`: CLIPVisionConfig's fields; `text`: CLIPTextConfig's. `points`: those of base, and those beside them."""

    base: DiffusionSize
    upsampler: DiffusionSize
    distance: DistanceSize
    reads: Literal["text", "picture"]
    text: Mapping[str, Any]
    vision: Mapping[str, Any]
    points: tuple[int, int] = (1024, 3072)

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)


@dataclass(frozen=True)
class RandomNetwork:
    """A network of a size with random weights of sensible scale, always the same ones."""

    size: DiffusionSize | DistanceSize
    seed: int

    def network(self) -> nn.Module:
        """The network. A signed distance is made to depend more on the place, and centred, so that it has a surface:
        without, most have one sign."""
        with without_initialisation():
            module = bare_network(self.size)
        fill_random(module, self.seed)
        if isinstance(module, SignedDistance):
            _centre(module)
        return module.eval().requires_grad_(False)


def _vit_l_14() -> tuple[dict[str, Any], dict[str, Any]]:
    shared = {"hidden_act": "quick_gelu", "projection_dim": VECTOR_WIDTH}
    text = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    words = {"vocab_size": 49408, "max_position_embeddings": 77}
    vision = {"hidden_size": GRID_WIDTH, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
    return {**text, **words, **shared}, {**vision, "image_size": 224, "patch_size": 14, **shared}


def _published(width: int, layers: int) -> RandomSize:
    text, vision = _vit_l_14()
    upsampler = DiffusionSize(512, 12, "grid", GRID_WIDTH, upsamples=True)
    return RandomSize(DiffusionSize(width, layers, "grid", GRID_WIDTH), upsampler, SDF, "picture", text, vision)


def _of_text() -> RandomSize:
    text, vision = _vit_l_14()
    upsampler = DiffusionSize(512, 12, "grid", GRID_WIDTH, upsamples=True)
    return RandomSize(DiffusionSize(512, 12, "vector", VECTOR_WIDTH), upsampler, SDF, "text", text, vision)


def _tiny(reads: Literal["text", "picture"]) -> RandomSize:
    shared: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    shared |= {"hidden_act": "quick_gelu", "projection_dim": 64}
    vision = {**shared, "image_size": 32, "patch_size": 8}
    base = DiffusionSize(TINY_WIDTH, 2, "vector" if reads == "text" else "grid", 64)
    upsampler = DiffusionSize(TINY_WIDTH, 2, "grid", 64, upsamples=True)
    words = {"vocab_size": _own_words()["vocab_size"], "max_position_embeddings": 16}
    return RandomSize(base, upsampler, DistanceSize(64, 1, 2), reads, {**shared, **words}, vision, (48, 144))


def _own_words() -> dict[str, Any]:
    """What the small model's tokenizer, which all random weights have, goes with."""
    return read_json(ZOO / TOKENIZER_MODEL / "text_encoder" / "config.json")


RANDOM_SIZES = {
    "point-e-40m-text": _of_text(),
    "point-e-40m": _published(512, 12),
    "point-e-300m": _published(1024, 24),
    "point-e-1b": _published(2048, 24),
    "point-e-tiny-text": _tiny("text"),
    "point-e-tiny": _tiny("picture"),
}


def clip_configs(size: RandomSize) -> tuple[CLIPTextConfig, CLIPVisionConfig]:
    """transformers' configurations of a random CLIP; a text ends for it as it does for the tokenizer."""
    own = _own_words()
    ends = {name: own[name] for name in ("bos_token_id", "eos_token_id")}
    return CLIPTextConfig(**{**size.text, **ends}), CLIPVisionConfig(**size.vision)


@torch.inference_mode()
def _centre(module: SignedDistance) -> None:
    """Make the mean distance in the volume zero for a cloud that is drawn, and hardly another for another cloud."""
    for block in module.cross_blocks:
        block.attn.c_proj.weight.mul_(CLOUDS_SHARE)
    draw = torch.Generator().manual_seed(0)
    cloud, places = (torch.rand(1, 256, 3, generator=draw) - 0.5 for _ in range(2))
    module.output_proj.bias.sub_(module(places, *module.encode(cloud)).mean())
