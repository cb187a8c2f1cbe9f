"""Shap-E as diffusers and transformers run it: the side that every program is compared with."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers.pipelines.shap_e.renderer import StratifiedRaySampler, VolumeRange
from torch.func import functional_call

from exporter.families.family import Reference, RenderSettings
from exporter.families.shap_e.modules import output_name
from exporter.recipe.recipe import SamplerSection
from exporter.runtime.assets.mesh import Mesh, empty_mesh, linear_to_srgb

POINTS_AT_ONCE = 32768
RAYS_AT_ONCE = 4096


class Parts(NamedTuple):
    """The components of ShapEPipeline, as functions that load them."""

    text_encoder: Any
    prior: Any
    renderer: Any
    tokenizer: Any


class MidpointRaySampler(StratifiedRaySampler):
    """diffusers' coarse sampler with the middle of each stratum in place of a random point."""

    def sample(self, t0: torch.Tensor, t1: torch.Tensor, n_samples: int, epsilon: float = 1e-3) -> torch.Tensor:
        fractions = torch.linspace(0, 1, n_samples)
        depths = t0 * (1.0 - fractions) + t1 * fractions
        middles = 0.5 * (depths[..., 1:] + depths[..., :-1])
        return (0.5 * (torch.cat([t0, middles], dim=-1) + torch.cat([middles, t1], dim=-1))).unsqueeze(-1)


class QuantileRaySampler:
    """diffusers' fine sampler with evenly spaced quantiles, and a linear inverse CDF inside each bin."""

    def __init__(self, volume_range: VolumeRange, ts: torch.Tensor, weights: torch.Tensor, alpha: float) -> None:
        self.volume_range, self.ts, self.weights, self.alpha = volume_range, ts, weights, alpha

    def sample(self, t0: torch.Tensor, t1: torch.Tensor, n_samples: int) -> torch.Tensor:
        lower, upper, _ = self.volume_range.partition(self.ts)
        pmf = (self.weights + self.alpha).squeeze(-1)
        pmf = pmf / pmf.sum(dim=-1, keepdim=True)
        cdf = torch.cumsum(pmf, dim=-1)
        quantiles = ((torch.arange(n_samples) + 0.5) / n_samples).expand(*cdf.shape[:-1], n_samples).contiguous()
        bins = torch.searchsorted(cdf, quantiles).clamp(max=cdf.shape[-1] - 1)
        mass = pmf.gather(-1, bins)
        inside = ((quantiles - (cdf.gather(-1, bins) - mass)) / mass).clamp(0.0, 1.0)[..., None]
        low, high = lower.gather(-2, bins[..., None]), upper.gather(-2, bins[..., None])
        return low + (high - low) * inside


class Projected(torch.nn.Module):
    """In the place of diffusers' projection: what it gave, under the names of the parameters."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.weights = {f"nerstf.{name}": weight[None] for name, weight in weights.items()}

    def forward(self, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        return self.weights


class ShapEReference(Reference):
    """ShapEPipeline's own modules behind the Generator protocol; batches of prompts go through together."""

    def __init__(
        self,
        parts: Parts,
        scheduler: Any,
        latent_shape: tuple[int, int],
        sampler: SamplerSection,
        render: RenderSettings,
    ) -> None:
        super().__init__(scheduler, latent_shape, sampler)
        self.parts = parts
        self.render_settings = render

    def token_ids(self, prompts: list[str]) -> torch.Tensor:
        """Prompts to token ids [B,T] as ShapEPipeline makes them: padded with 0, cut to the context."""
        tokenizer = self.parts.tokenizer()
        tokenizer.pad_token_id = 0
        length = tokenizer.model_max_length
        return tokenizer(
            prompts, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        ).input_ids

    @torch.inference_mode()
    def encode(self, prompts: list[str]) -> np.ndarray:
        embedding = self.parts.text_encoder()(self.token_ids(prompts)).text_embeds
        embedding = embedding / torch.linalg.norm(embedding, dim=-1, keepdim=True)
        return (math.sqrt(embedding.shape[1]) * embedding).numpy()

    def predict(self, sample: torch.Tensor, timestep: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        output = self.parts.prior()(sample, timestep=timestep, proj_embedding=embedding).predicted_image_embedding
        return output.split(sample.shape[2], dim=2)[0]

    @torch.inference_mode()
    def project(self, latents: np.ndarray) -> dict[str, np.ndarray]:
        projected = self.parts.renderer().params_proj(torch.from_numpy(latents))
        return {output_name(name): tensor.numpy() for name, tensor in projected.items()}

    @torch.inference_mode()
    def field(self, points: np.ndarray, context: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        objects = [self._field_of_one(points[i : i + 1], context, i) for i in range(len(points))]
        return {name: np.concatenate([o[name] for o in objects]) for name in objects[0]}

    @torch.inference_mode()
    def render(self, rays: np.ndarray, context: dict[str, np.ndarray]) -> np.ndarray:
        return np.concatenate([self._render_one(rays[i : i + 1], context, i) for i in range(len(rays))])

    @torch.inference_mode()
    def mesh(self, context: dict[str, np.ndarray], grid: int) -> Mesh:
        """diffusers' own `decode_to_mesh`, given what was projected; empty where the field has no surface."""
        renderer = self.parts.renderer()
        own, renderer.params_proj = renderer.params_proj, Projected(self._weights_of_one(context, 0))
        try:
            made = renderer.decode_to_mesh(torch.from_numpy(context["latents"]), "cpu", grid_size=grid)
        # It asks the whole field and then has no colour to put together.
        except (RuntimeError, ValueError) as error:
            if "non-empty list" not in str(error):
                raise
            return empty_mesh()
        finally:
            renderer.params_proj = own
        linear = np.stack([made.vertex_channels[name].numpy() for name in "RGB"], axis=1)
        return Mesh(made.verts.numpy(), made.faces.numpy().astype(np.int32), linear_to_srgb(linear))

    def load(self) -> None:
        for part in self.parts:
            part()

    def with_network(self, wrap: Callable[[torch.nn.Module], torch.nn.Module]) -> ShapEReference:
        parts = self.parts._replace(prior=cache(lambda: wrap(self.parts.prior())))
        changed = copy(self)
        changed.parts = parts
        return changed

    def _field_of_one(self, points: np.ndarray, context: dict[str, np.ndarray], i: int) -> dict[str, np.ndarray]:
        mlp = self.parts.renderer().mlp
        weights = self._weights_of_one(context, i)
        chunks = []
        for part in torch.from_numpy(points).split(POINTS_AT_ONCE, dim=1):
            arguments = {"position": part, "direction": None, "ts": None, "nerf_level": "fine", "rendering_mode": "stf"}
            chunks.append(functional_call(mlp, weights, (), arguments))
        return {
            "signed_distance": torch.cat([c.signed_distance for c in chunks], dim=1).numpy(),
            "density": torch.cat([c.density for c in chunks], dim=1).numpy(),
            "color": torch.cat([c.channels for c in chunks], dim=1).numpy(),
        }

    def _render_one(self, rays: np.ndarray, context: dict[str, np.ndarray], i: int) -> np.ndarray:
        renderer = self.parts.renderer()
        parameters = renderer.mlp.state_dict()
        for name, weight in self._weights_of_one(context, i).items():
            parameters[name].copy_(weight)
        colors = []
        for part in torch.from_numpy(rays).split(RAYS_AT_ONCE, dim=1):
            _, random, coarse = renderer.render_rays(part, MidpointRaySampler(), self.render_settings.coarse_samples)
            fine = QuantileRaySampler(random.volume_range, random.ts, random.weights, random.alpha)
            color, _, _ = renderer.render_rays(part, fine, self.render_settings.fine_samples, prev_model_out=coarse)
            colors.append(color)
        return torch.cat(colors, dim=1).numpy()

    def _weights_of_one(self, context: dict[str, np.ndarray], i: int) -> dict[str, torch.Tensor]:
        """The projected weights of object i under the network's own parameter names, in the network's own shape."""
        own = [name for name in self.parts.renderer().mlp.state_dict() if output_name(name) in context]
        return {name: torch.from_numpy(context[output_name(name)][i]) for name in own}
