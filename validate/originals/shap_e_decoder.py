"""Shap-E's decoder beside openai/shap-e: its field on a lattice, and its mesh."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.shap_e.renderer import ShapERenderer
from scipy.spatial import cKDTree

from exporter.families.original import Original
from exporter.families.shap_e.random_weights import fill_random_part
from exporter.families.weights import without_initialisation
from exporter.runtime.run import Run
from exporter.runtime.surface.decoded import field_of, mesh_of
from exporter.runtime.surface.extract import grid_points
from validate.originals.comparison import Comparison, compared

LIMIT = 1e-4
# The encoding of a place multiplies by 2^14, and with it the rounding of where a vertex lies.
COLOR_LIMIT = 1e-3
GRID = 32


@dataclass(frozen=True)
class DecoderSize:
    """`hidden`: of the field's network, a quarter of the tokens; `channels`: of a token."""

    hidden: int
    channels: int

    @property
    def tokens(self) -> int:
        return 4 * self.hidden


@dataclass(frozen=True)
class Decoded:
    """What their decoder makes of latents [1, tokens, channels]: signed distances on the lattice, and the mesh."""

    parameters: int
    latents: torch.Tensor
    field: torch.Tensor
    mesh: Any


def their_decoded(size: DecoderSize, draw: torch.Generator, folder: Path) -> Decoded:
    """By a decoder of theirs, which is saved into the folder as they save it; its latents are drawn."""
    latents = torch.tanh(torch.randn(1, size.tokens, size.channels, generator=draw))
    decoder, count = _their_decoder(size, folder)
    return Decoded(count, latents, *_their_mesh(decoder, latents))


def decoder_rows(name: str, original: Original, decoded: Decoded) -> Iterator[Comparison]:
    """The same latents decoded by ours, beside theirs."""
    also, field, mesh, latents = decoded.parameters, decoded.field, decoded.mesh, decoded.latents
    (stage,) = original.samplers
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


def _their_decoder(size: DecoderSize, folder: Path) -> tuple[Any, int]:
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


def _random_renderer(size: DecoderSize) -> dict[str, torch.Tensor]:
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
