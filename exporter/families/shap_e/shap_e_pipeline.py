"""Shap-E, from a text or from a picture, as diffusers and transformers run it: the side that every program is compared
with."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from diffusers.pipelines.shap_e.renderer import StratifiedRaySampler, VolumeRange
from torch.func import functional_call

from exporter.families.original import Original
from exporter.families.shap_e.modules import output_name
from exporter.pipeline.pipeline import Pipeline
from exporter.recipe.recipe import Recipe
from exporter.runtime.assets.mesh import Mesh, empty_mesh, linear_to_srgb
from exporter.runtime.inputs.cleaning import cleaned
from exporter.runtime.inputs.picture import opaque, opened
from exporter.runtime.run import Arrays, Request, Run

POINTS_AT_ONCE = 32768
RAYS_AT_ONCE = 4096


class TextParts(NamedTuple):
    """The components of ShapEPipeline, as functions that load them."""

    text_encoder: Any
    prior: Any
    renderer: Any
    tokenizer: Any


class PictureParts(NamedTuple):
    """The components of ShapEImg2ImgPipeline, as functions that load them."""

    image_encoder: Any
    prior: Any
    renderer: Any
    processor: Any


AnyParts = TypeVar("AnyParts", TextParts, PictureParts)


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


class LatentOriginal(Original, Generic[AnyParts]):
    """The modules that both pipelines have; batches go through together."""

    def __init__(self, parts: AnyParts, pipeline: Pipeline, recipe: Recipe, schedulers: Callable[[str], Any]) -> None:
        super().__init__(pipeline, recipe, schedulers)
        self.parts: AnyParts = parts

    @abstractmethod
    def encode(self, arrays: Arrays) -> Arrays:
        """The prior's condition, from the input's tensor."""

    @torch.inference_mode()
    def run_program(self, stage: str, arrays: Arrays) -> Arrays:
        if self.pipeline.stages[stage].kind == "encode":
            return self.encode(arrays)
        run = {"projector": self._project, "field": self._field, "renderer": self._render}
        return run[stage](arrays)

    def predict(
        self, stage: str, sample: torch.Tensor, timestep: torch.Tensor, *conditions: torch.Tensor
    ) -> torch.Tensor:
        (condition,) = conditions
        output = self.parts.prior()(sample, timestep=timestep, proj_embedding=condition).predicted_image_embedding
        return output.split(sample.shape[2], dim=2)[0]

    @torch.inference_mode()
    def mesh(self, run: Run, grid: int) -> Mesh:
        """diffusers' own `decode_to_mesh`, given what was projected; empty where the field has no surface."""
        renderer = self.parts.renderer()
        own, renderer.params_proj = renderer.params_proj, Projected(self._weights_of_one(run.taken_by("field"), 0))
        try:
            made = renderer.decode_to_mesh(torch.from_numpy(run["latents"]), "cpu", grid_size=grid)
        # It evaluates the whole field and then has no colour to put together.
        except (RuntimeError, ValueError) as error:
            if "non-empty list" not in str(error):
                raise
            return empty_mesh()
        finally:
            renderer.params_proj = own
        linear = np.stack([made.vertex_channels[name].numpy() for name in "RGB"], axis=1)
        as_openai = self.recipe.mesh.conventions == "openai"
        colors = linear if as_openai else linear_to_srgb(linear)
        return Mesh(made.verts.numpy(), made.faces.numpy().astype(np.int32), colors)

    def load(self) -> None:
        for part in self.parts:
            part()

    def with_network(self, wrap: Callable[[torch.nn.Module], torch.nn.Module]) -> LatentOriginal[AnyParts]:
        parts: AnyParts = self.parts._replace(prior=cache(lambda: wrap(self.parts.prior())))
        return type(self)(parts, self.pipeline, self.recipe, self.schedulers)

    def _project(self, arrays: Arrays) -> Arrays:
        projected = self.parts.renderer().params_proj(torch.from_numpy(arrays["latents"]))
        return {output_name(name): tensor.numpy() for name, tensor in projected.items()}

    def _field(self, arrays: Arrays) -> Arrays:
        points = arrays["points"]
        objects = [self._field_of_one(points[i : i + 1], arrays, i) for i in range(len(points))]
        return {name: np.concatenate([o[name] for o in objects]) for name in objects[0]}

    def _render(self, arrays: Arrays) -> Arrays:
        rays = arrays["rays"]
        return {"color": np.concatenate([self._render_one(rays[i : i + 1], arrays, i) for i in range(len(rays))])}

    def _field_of_one(self, points: np.ndarray, context: Arrays, i: int) -> Arrays:
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

    def _render_one(self, rays: np.ndarray, context: Arrays, i: int) -> np.ndarray:
        renderer = self.parts.renderer()
        parameters = renderer.mlp.state_dict()
        for name, weight in self._weights_of_one(context, i).items():
            parameters[name].copy_(weight)
        colors = []
        for part in torch.from_numpy(rays).split(RAYS_AT_ONCE, dim=1):
            _, random, coarse = renderer.render_rays(part, MidpointRaySampler(), self.recipe.render.coarse_samples)
            fine = QuantileRaySampler(random.volume_range, random.ts, random.weights, random.alpha)
            color, _, _ = renderer.render_rays(part, fine, self.recipe.render.fine_samples, prev_model_out=coarse)
            colors.append(color)
        return torch.cat(colors, dim=1).numpy()

    def _weights_of_one(self, context: Arrays, i: int) -> dict[str, torch.Tensor]:
        """The projected weights of object i under the network's own parameter names, in the network's own shape."""
        own = [name for name in self.parts.renderer().mlp.state_dict() if output_name(name) in context]
        return {name: torch.from_numpy(context[output_name(name)][i]) for name in own}


class ShapEOriginal(LatentOriginal[TextParts]):
    """ShapEPipeline's own modules."""

    def read(self, requests: Sequence[Request]) -> Arrays:
        """Prompts to token ids [B,T] as ShapEPipeline makes them, padded with 0, cut to the context; cleaned before
        where the recipe says so, as OpenAI's code does."""
        tokenizer = self.parts.tokenizer()
        tokenizer.pad_token_id = 0
        ids = tokenizer(
            [cleaned(str(request["prompt"]), self.recipe.tokenizer.clean) for request in requests],
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="np",
        ).input_ids
        return {"input_ids": ids.astype(np.int64)}

    def encode(self, arrays: Arrays) -> Arrays:
        embedding = self.parts.text_encoder()(torch.from_numpy(arrays["input_ids"])).text_embeds
        embedding = embedding / torch.linalg.norm(embedding, dim=-1, keepdim=True)
        return {"embedding": (math.sqrt(embedding.shape[1]) * embedding).numpy()}


class ShapEImageOriginal(LatentOriginal[PictureParts]):
    """ShapEImg2ImgPipeline's own modules. What its processor would do to a transparent picture, show the colours that
    are hidden, nobody wants: the background comes first here, as in a bundle."""

    def read(self, requests: Sequence[Request]) -> Arrays:
        """Pictures to pixels [B,3,S,S] by the image processor that comes with the weights."""
        (name, source), *_ = self.pipeline.pictures.items()
        pictures = [opaque(opened(request[name]), source.background) for request in requests]
        processed = self.parts.processor()(pictures, return_tensors="np")["pixel_values"]
        return {source.tensor: np.asarray(processed)}

    def encode(self, arrays: Arrays) -> Arrays:
        """All tokens of the picture's grid but the class token, as the last block leaves them."""
        hidden = self.parts.image_encoder()(torch.from_numpy(arrays["pixels"])).last_hidden_state
        return {"grid": hidden[:, 1:].contiguous().numpy()}
