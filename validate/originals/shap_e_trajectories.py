"""Shap-E's models beside openai/shap-e: latents after whole trajectories as their notebooks sample, fields, meshes.

The authors' modules get random weights and are saved as they save theirs; ours is loaded from those files, as from the
published ones. Noise and what CLIP gives are drawn, and the same for both.
"""

from __future__ import annotations

import gc
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import yaml

from exporter.families.part_files import ZOO
from exporter.families.registry import load_model
from exporter.families.shap_e.random_weights import SHAP_E_IMAGE_300M
from exporter.families.weights import fill_random, without_initialisation
from exporter.recipe.recipe_file import load_recipe
from validate.originals.comparison import Comparison, compared
from validate.originals.shap_e_decoder import LIMIT, DecoderSize, decoder_rows, their_decoded

STEPS, LOWEST, HIGHEST = 64, 1e-3, 160.0
CLIP_FOLDER = "clip-vit-large-patch14"


@dataclass(frozen=True)
class Kind:
    """What a model is conditioned on. `network`: its class there; `settings`: which the other kind has not; `guidance`:
    of its notebook; `parts`: of our small models, whose weights are laid down for the loader to find as CLIP's."""

    family: str
    recipe: Path
    file: str
    network: str
    settings: dict[str, Any]
    guidance: float
    parts: tuple[str, ...]


TEXT = Kind(
    family="shap-e",
    recipe=Path("recipes/shape_e_fp32.yaml"),
    file="text_cond",
    network="CLIPImagePointDiffusionTransformer",
    settings={"token_cond": True},
    guidance=15.0,
    parts=("shap_e_mini/tokenizer", "shap_e_mini/text_encoder"),
)
PICTURE = Kind(
    family="shap-e-image",
    recipe=Path("recipes/shape_e_image_fp32.yaml"),
    file="image_cond",
    network="CLIPImageGridPointDiffusionTransformer",
    settings={},
    guidance=3.0,
    parts=("shap_e_mini_image/image_encoder",),
)


@dataclass(frozen=True)
class Size:
    """A model of openai/shap-e. `width`: of the prior; `steps`: of Heun's method that are compared, two evaluations
    each but for the very last; `decodes`: whether field and mesh are compared too."""

    kind: Kind
    width: int
    layers: int
    heads: int
    decoder: DecoderSize
    objects: int
    steps: int
    decodes: bool


SMALL, FULL = DecoderSize(hidden=32, channels=48), DecoderSize(hidden=256, channels=1024)
NETWORKS = {
    "small, 64 levels": Size(TEXT, 128, 3, 2, SMALL, objects=2, steps=STEPS, decodes=True),
    "text300M, first 2 levels": Size(TEXT, 1024, 24, 16, FULL, objects=1, steps=2, decodes=True),
    # The decoder of both is the same.
    "small, from a picture, 64 levels": Size(PICTURE, 128, 3, 2, SMALL, objects=2, steps=STEPS, decodes=False),
    "image300M, first 2 levels": Size(PICTURE, 1024, 24, 8, FULL, objects=1, steps=2, decodes=False),
}


class GivenEmbedding(torch.nn.Module):
    """In the place of their CLIP, ViT-L/14: what it would give is given."""

    feature_dim, grid_feature_dim, grid_size = 768, 1024, 16

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def forward(self, batch_size: int, embeddings: torch.Tensor, **_: Any) -> torch.Tensor:
        return embeddings


def compare(code: Path, networks: Sequence[str]) -> Iterator[Comparison]:
    """The rows of these networks; `code` is a checkout of openai/shap-e."""
    sys.path.insert(0, str(code))
    # It opens remote files with it, and none here.
    sys.modules.setdefault("blobfile", ModuleType("blobfile"))
    for name in networks:
        with tempfile.TemporaryDirectory() as folder:
            yield from _compare(name, NETWORKS[name], Path(folder))


@torch.inference_mode()
def _compare(name: str, size: Size, folder: Path) -> Iterator[Comparison]:
    draw, tokens = torch.Generator().manual_seed(1), size.decoder.tokens
    unit = torch.randn(size.objects, tokens, size.decoder.channels, generator=draw)
    theirs, ours = _drawn_condition(size, draw)
    prior, count = _their_prior(size, folder)
    expected = _their_latents(prior, size, unit, theirs)
    del prior
    decoded = their_decoded(size.decoder, draw, folder)
    gc.collect()
    _write_clip(size, folder / CLIP_FOLDER)
    published = ["sampler.as=openai", f"sampler.guidance_scale={size.kind.guidance}", "mesh.conventions=openai"]
    original = load_model(size.kind.family, str(folder)).original(load_recipe(size.kind.recipe, published))
    evaluations = None if size.steps == STEPS else 2 * size.steps
    (sampler,) = original.samplers.values()
    found = sampler.sample([ours.numpy()], unit.numpy(), evaluations=evaluations)
    yield compared(name, "sampled latents", count, found, expected.unflatten(1, (tokens, -1)), LIMIT)
    if size.decodes:
        yield from decoder_rows(name, original, decoded)


def _drawn_condition(size: Size, draw: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """What CLIP gives, as their model takes it and as ours does: a unit vector [n, c], which theirs scales by itself,
    or the vectors of a picture's patches, [n, c, patches] there."""
    if size.kind is TEXT:
        vector = torch.randn(size.objects, GivenEmbedding.feature_dim, generator=draw)
        vector = vector / vector.norm(dim=-1, keepdim=True)
        return vector, math.sqrt(vector.shape[1]) * vector
    patches = GivenEmbedding.grid_size**2
    grid = torch.randn(size.objects, GivenEmbedding.grid_feature_dim, patches, generator=draw)
    return grid, grid.transpose(1, 2).contiguous()


def _their_prior(size: Size, folder: Path) -> tuple[Any, int]:
    import shap_e.models.generation.transformer as theirs
    from shap_e.models.configs import model_from_config

    theirs.FrozenImageCLIP = GivenEmbedding
    kind, tokens = size.kind, size.decoder.tokens
    inner = {"name": kind.network, "width": size.width, "layers": size.layers}
    inner |= {"heads": size.heads, "init_scale": 0.25, "pos_emb_init_scale": 0.05, "use_pos_emb": True}
    inner |= {"time_token_cond": True, "cond_drop_prob": 0.1, **kind.settings}
    config = {"name": "SplitVectorDiffusion", "d_latent": tokens * size.decoder.channels, "latent_ctx": tokens}
    with without_initialisation():
        prior = model_from_config(config | {"inner": dict(inner)}, torch.device("cpu")).eval()
    fill_random(prior, seed=0)
    torch.save(prior.state_dict(), folder / f"{kind.file}.pt")
    (folder / f"{kind.file}_config.yaml").write_text(yaml.safe_dump(config | {"inner": inner}))
    return prior, sum(parameter.numel() for parameter in prior.parameters())


def _their_latents(prior: Any, size: Size, unit: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
    """By `karras_sample_progressive`, with the settings of their notebooks; it draws its noise by torch."""
    import shap_e.diffusion.k_diffusion as k_diffusion
    from shap_e.diffusion.gaussian_diffusion import diffusion_from_config

    diffusion = diffusion_from_config({"schedule": "exp", "timesteps": 1024, "mean_type": "x_start"})
    own, k_diffusion.th = k_diffusion.th, _Drawn(unit.flatten(1))
    try:
        steps = k_diffusion.karras_sample_progressive(
            diffusion,
            prior,
            shape=(len(unit), prior.d_latent),
            steps=STEPS,
            clip_denoised=True,
            model_kwargs={"embeddings": torch.cat([embedding, torch.zeros_like(embedding)])},
            sigma_min=LOWEST,
            sigma_max=HIGHEST,
            guidance_scale=size.kind.guidance,
            device=torch.device("cpu"),
        )
        # Each of its reports has the sample before a step, and the last one the sample after all.
        *_, last = islice(steps, size.steps + 1)
    finally:
        k_diffusion.th = own
    latents: torch.Tensor = last["x"]
    return latents


class _Drawn:
    """torch, but for the noise that is drawn."""

    def __init__(self, unit: torch.Tensor) -> None:
        self._unit = unit

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def randn(self, *_: int, **__: Any) -> torch.Tensor:
        return self._unit

    def randn_like(self, _: torch.Tensor) -> torch.Tensor:
        return torch.zeros(())


def _write_clip(size: Size, to: Path) -> None:
    """A CLIP for the loader to find, of the configuration that the prior wants; what it gives is drawn."""
    for part in size.kind.parts:
        shutil.copytree(ZOO / part, to, dirs_exist_ok=True)
    if size.kind is PICTURE:
        for file, part in (("config.json", "image_encoder"), ("preprocessor_config.json", "image_processor")):
            (to / file).write_text(json.dumps(SHAP_E_IMAGE_300M[part]))
