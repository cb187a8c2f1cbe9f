"""Shap-E's text model beside openai/shap-e: latents after whole trajectories as its notebook samples, fields, meshes.

The authors' modules get random weights and are saved as they save theirs; ours is loaded from those files, as from the
published ones. Noise and CLIP's embedding are drawn, and the same for both.
"""

from __future__ import annotations

import gc
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

import numpy as np
import torch
import yaml
from diffusers.pipelines.shap_e.renderer import ShapERenderer
from scipy.spatial import cKDTree

from exporter.families.part_files import ZOO
from exporter.families.registry import load_model
from exporter.families.shap_e.random_weights import fill_random_part
from exporter.families.weights import fill_random, without_initialisation
from exporter.recipe.recipe import Recipe
from exporter.recipe.recipe_file import load_recipe
from exporter.runtime.run import Run
from exporter.runtime.surface.decoded import field_of, mesh_of
from exporter.runtime.surface.extract import grid_points
from validate.originals.comparison import Comparison, compared

LIMIT = 1e-4
# The encoding of a place multiplies by 2^14, and with it the rounding of where a vertex lies.
COLOR_LIMIT = 1e-3
RECIPE = Path("recipes/shape_e_fp32.yaml")
STEPS, LOWEST, HIGHEST, GUIDANCE = 64, 1e-3, 160.0, 15.0
OBJECTS, GRID = 2, 32


@dataclass(frozen=True)
class Size:
    """A text model of openai/shap-e. `width`: of the prior; `hidden`: of the field's network, a quarter of the tokens;
    `channels`: of a token; `steps`: of Heun's method that are compared, two evaluations each but for the very last."""

    width: int
    layers: int
    heads: int
    hidden: int
    channels: int
    objects: int
    steps: int

    @property
    def tokens(self) -> int:
        return 4 * self.hidden


NETWORKS = {
    "small, 64 levels": Size(width=128, layers=3, heads=2, hidden=32, channels=48, objects=OBJECTS, steps=STEPS),
    "text300M, first 2 levels": Size(width=1024, layers=24, heads=16, hidden=256, channels=1024, objects=1, steps=2),
}


class GivenEmbedding(torch.nn.Module):
    """In the place of their CLIP, ViT-L/14: what it would give is given."""

    feature_dim = 768

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
    draw = torch.Generator().manual_seed(1)
    unit = torch.randn(size.objects, size.tokens, size.channels, generator=draw)
    embedding = torch.randn(size.objects, GivenEmbedding.feature_dim, generator=draw)
    embedding = embedding / embedding.norm(dim=-1, keepdim=True)
    prior, count = _their_prior(size, folder)
    expected = _their_latents(prior, size, unit, embedding)
    del prior
    latents = torch.tanh(torch.randn(1, size.tokens, size.channels, generator=draw))
    decoder, also = _their_decoder(size, folder)
    field, mesh = _their_mesh(decoder, latents)
    del decoder
    gc.collect()
    _write_clip(folder / "clip-vit-large-patch14")
    recipe = _recipe()
    model = load_model("shap-e", str(folder))
    original = model.original(recipe)
    scaled = math.sqrt(embedding.shape[1]) * embedding
    evaluations = None if size.steps == STEPS else 2 * size.steps
    ((stage, sampler),) = original.samplers.items()
    found = sampler.sample([scaled.numpy()], unit.numpy(), evaluations=evaluations)
    yield compared(name, "sampled latents", count, found, expected.unflatten(1, (size.tokens, -1)), LIMIT)
    run = Run(original, {original.pipeline.stages[stage].makes[0].name: latents.numpy()})
    points = grid_points(np.indices((GRID,) * 3).reshape(3, -1).T, GRID)
    distance = field_of(run).distance(points).reshape((GRID,) * 3)
    yield compared(name, f"signed distance, {GRID}³", also, distance, field, LIMIT)
    ours = mesh_of(run, GRID, exact=True)
    if len(ours.vertices) != len(mesh.verts):
        raise ValueError(f"{name}: the mesh has {len(ours.vertices)} vertices here and {len(mesh.verts)} there")
    # Both have the same vertices, each in its own order.
    nearest = cKDTree(mesh.verts.numpy()).query(ours.vertices)[1]
    colors = torch.stack([mesh.vertex_channels[channel] for channel in "RGB"], dim=1)
    yield compared(name, f"{len(nearest):,} vertices", also, ours.vertices, mesh.verts[nearest], LIMIT)
    yield compared(name, "their linear colours", also, ours.colors, colors[nearest], COLOR_LIMIT)


def _recipe() -> Recipe:
    published = ["sampler.as=openai", f"sampler.guidance_scale={GUIDANCE}", "mesh.conventions=openai"]
    return load_recipe(RECIPE, published)


def _their_prior(size: Size, folder: Path) -> tuple[Any, int]:
    import shap_e.models.generation.transformer as theirs
    from shap_e.models.configs import model_from_config

    theirs.FrozenImageCLIP = GivenEmbedding
    inner = {"name": "CLIPImagePointDiffusionTransformer", "width": size.width, "layers": size.layers}
    inner |= {"heads": size.heads, "init_scale": 0.25, "pos_emb_init_scale": 0.05, "use_pos_emb": True}
    inner |= {"time_token_cond": True, "token_cond": True, "cond_drop_prob": 0.1}
    config = {"name": "SplitVectorDiffusion", "d_latent": size.tokens * size.channels, "latent_ctx": size.tokens}
    with without_initialisation():
        prior = model_from_config(config | {"inner": dict(inner)}, torch.device("cpu")).eval()
    fill_random(prior, seed=0)
    torch.save(prior.state_dict(), folder / "text_cond.pt")
    (folder / "text_cond_config.yaml").write_text(yaml.safe_dump(config | {"inner": inner}))
    return prior, sum(parameter.numel() for parameter in prior.parameters())


def _their_latents(prior: Any, size: Size, unit: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
    """By `karras_sample_progressive`, with the settings of sample_text_to_3d.ipynb; it draws its noise by torch."""
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
            guidance_scale=GUIDANCE,
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


def _their_decoder(size: Size, folder: Path) -> tuple[Any, int]:
    """With the random weights of this project, whose field has a surface."""
    from shap_e.models.configs import model_from_config

    nerstf = {"name": "MLPNeRSTFModel", "activation": "swish", "d_hidden": size.hidden, "n_hidden_layers": 6}
    nerstf |= {"density_activation": "relu", "init_scale": 0.25, "initial_density_bias": 0.1, "meta_bias": False}
    nerstf |= {"insert_direction_at": 4, "meta_parameters": True, "n_meta_layers": 4, "posenc_version": "nerf"}
    nerstf |= {"separate_coarse_channels": True, "separate_nerf_channels": True, "trainable_meta": False}
    corners = {"bbox_max": [1.0, 1.0, 1.0], "bbox_min": [-1.0, -1.0, -1.0]}
    renderer = {"name": "NeRSTFRenderer", "grid_size": GRID, "n_coarse_samples": 64, "n_fine_samples": 128}
    renderer |= {"nerstf": nerstf, "separate_shared_samples": True, "volume": {"name": "BoundingBoxVolume"} | corners}
    renderer |= {"void": {"name": "VoidNeRFModel", "background": [0, 0, 0]}}
    projection = {"name": "channels", "init_scale": 1.0, "learned_scale": 0.0625, "use_ln": True}
    config = {"name": "ChannelsDecoder", "latent_ctx": size.tokens, "d_latent": size.channels}
    config |= dict(renderer=renderer, params_proj=projection)  # noqa: C408 - names of theirs, not of ours
    decoder = model_from_config(config, torch.device("cpu")).eval()
    own = decoder.state_dict()
    drawn = _random_renderer(size)
    for name in own:
        if (found := name.replace("renderer.nerstf.", "mlp.")) in drawn:
            own[name].copy_(drawn[found])
    torch.save(own, folder / "vector_decoder.pt")
    return decoder, sum(parameter.numel() for parameter in decoder.parameters())


def _random_renderer(size: Size) -> dict[str, torch.Tensor]:
    hidden = size.hidden
    with without_initialisation():
        renderer = ShapERenderer(
            param_shapes=[(hidden, 93), *[(hidden, hidden)] * 3], d_latent=size.channels, d_hidden=hidden
        )
    fill_random_part(renderer, seed=2)
    return dict(renderer.state_dict())


def _their_mesh(decoder: Any, latents: torch.Tensor) -> tuple[torch.Tensor, Any]:
    """Signed distances on the lattice, and the mesh, of `render_views` in its mode stf."""
    from shap_e.models.nn.camera import (
        DifferentiableCameraBatch,
        DifferentiableProjectiveCamera,
    )
    from shap_e.util.collections import AttrDict

    axes = {axis: torch.eye(3)[None, k] for k, axis in enumerate("xyz")}
    camera = DifferentiableProjectiveCamera(
        origin=torch.tensor([[0.0, 0.0, -4.0]]), **axes, width=2, height=2, x_fov=0.7, y_fov=0.7
    )
    made = decoder.renderer.render_views(
        AttrDict(cameras=DifferentiableCameraBatch(shape=(1, 1), flat_camera=camera)),
        params=decoder.bottleneck_to_params(latents.flatten(1)),
        options=AttrDict(rendering_mode="stf", render_with_direction=False),
    )
    return made.fields[0, 1:-1, 1:-1, 1:-1], made.raw_meshes[0]


def _write_clip(to: Path) -> None:
    """A CLIP for the loader to find; what it gives is drawn."""
    shutil.copytree(ZOO / "shap_e_mini/tokenizer", to)
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(ZOO / "shap_e_mini/text_encoder" / name, to / name)
