"""Shap-E's networks as pure functions: text and image encoder, denoiser, projector and field.

Each equals the module of diffusers or transformers that it is made from (Jun and Nichol, arXiv 2305.02463); the
weights that the latents are projected to are inputs here, where diffusers copies them into the network.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from exporter.sampling.denoiser import Denoiser

POSITION_DEGREES = 15
SIGNED_DISTANCE = slice(0, 1)
DENSITY = {"coarse": slice(1, 2), "fine": slice(2, 3)}
TEXTURE = slice(3, 6)
RADIANCE = {"coarse": slice(6, 9), "fine": slice(9, 12)}


class TextEncoder(nn.Module):
    """Token ids [B,T] to CLIP text embeddings [B,E], normalised and rescaled to unit variance as ShapEPipeline does."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        embedding = self.model(input_ids=input_ids).text_embeds
        return embedding / torch.linalg.norm(embedding, dim=-1, keepdim=True) * math.sqrt(embedding.shape[-1])


class ImageEncoder(nn.Module):
    """Pixels [B,3,S,S] to the tokens of the patches [B,N,E] as the last block of CLIP's vision tower leaves them.

    The convolution over patches that do not overlap is a matrix product here: every quantizer and runtime has that.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        embeddings = model.embeddings
        self.edge = model.config.patch_size
        kernel = embeddings.patch_embedding.weight.detach().flatten(1)
        self.patch_embedding = nn.Linear(kernel.shape[1], kernel.shape[0], bias=False, device="meta")
        self.patch_embedding.load_state_dict({"weight": kernel}, assign=True)
        self.class_embedding = embeddings.class_embedding
        self.position_embedding = embeddings.position_embedding.weight
        self.pre_layrnorm, self.encoder = model.pre_layrnorm, model.encoder

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        size, batch, channels = pixels.shape[2], pixels.shape[0], pixels.shape[1]
        count = size // self.edge
        patches = pixels.reshape(batch, channels, count, self.edge, count, self.edge).permute(0, 2, 4, 1, 3, 5)
        patches = self.patch_embedding(patches.reshape(batch, count * count, channels * self.edge**2))
        first = self.class_embedding.expand(batch, 1, -1)
        hidden = self.pre_layrnorm(torch.cat([first, patches], dim=1) + self.position_embedding)
        hidden = self.encoder(inputs_embeds=hidden).last_hidden_state
        return hidden[:, 1:]


class PriorDenoiser(Denoiser):
    """PriorTransformer without its time embedding, and without the variance half of its output."""

    def __init__(self, prior: Any) -> None:
        super().__init__()
        self.prior = prior
        self.proj_to_clip_embeddings = _first_rows(prior.proj_to_clip_embeddings, prior.config.embedding_dim)

    def time_table(self, timesteps: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return self.prior.time_embedding(self.prior.time_proj(timesteps).float())

    def forward(self, sample: torch.Tensor, time: torch.Tensor, *conditions: torch.Tensor) -> torch.Tensor:
        prior, (condition,) = self.prior, conditions
        if prior.embedding_proj_norm is not None:
            condition = prior.embedding_proj_norm(condition)
        condition = prior.embedding_proj(condition)
        # Of a text one vector, of a picture a token for each patch.
        tokens = condition[:, None] if condition.dim() == 2 else condition
        hidden = torch.cat([tokens, time[:, None], prior.proj_in(sample)], dim=1)
        positions = prior.positional_embedding
        hidden = hidden + F.pad(positions, (0, 0, hidden.shape[1] - positions.shape[1], 0))
        if prior.norm_in is not None:
            hidden = prior.norm_in(hidden)
        for block in prior.transformer_blocks:
            hidden = block(hidden)
        return prior.norm_out(hidden[:, tokens.shape[1] + 1 :])

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.proj_to_clip_embeddings(hidden)


def _first_rows(linear: nn.Linear, rows: int) -> nn.Linear:
    """The part of a linear layer that makes its first outputs."""
    part = nn.Linear(linear.in_features, rows, device="meta")
    weight, bias = linear.weight.detach()[:rows].clone(), linear.bias.detach()[:rows].clone()
    part.load_state_dict({"weight": weight, "bias": bias}, assign=True)
    return part


class Projector(nn.Module):
    """Latents [B,N,D] to the projected weights of the field's network, one output [B,R,C] each.

    diffusers' einsum over per-vector matrices is a batched MatMul here: vectors are the batch, so that ONNX Runtime
    runs it as one.
    """

    def __init__(self, params_proj: Any) -> None:
        super().__init__()
        self.rows = [rows for rows, _ in params_proj.config.param_shapes]
        self.projections = nn.ModuleDict(
            {
                output_name(name): Projection(source, *shape)
                for name, shape, source in zip(
                    params_proj.config.param_names,
                    params_proj.config.param_shapes,
                    params_proj.projections.values(),
                    strict=True,
                )
            }
        )

    def forward(self, latents: torch.Tensor) -> tuple[torch.Tensor, ...]:
        tokens = latents.split(self.rows, dim=1)
        return tuple(project(t) for project, t in zip(self.projections.values(), tokens, strict=True))


class Projection(nn.Module):
    """ChannelsProj: tokens [B,R,D] to one weight [B,R,C], each row by a matrix of its own."""

    def __init__(self, source: Any, rows: int, channels: int) -> None:
        super().__init__()
        matrix = source.proj.weight.detach().view(rows, channels, source.d_latent)
        self.weight = nn.Parameter(matrix.transpose(1, 2).contiguous(), requires_grad=False)
        self.bias = nn.Parameter(source.proj.bias.detach().view(1, rows, channels), requires_grad=False)
        self.norm = source.norm
        source.proj.weight = None

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        projected = torch.matmul(tokens.transpose(0, 1), self.weight).transpose(0, 1)
        return self.norm(projected) + self.bias


class FieldNetwork(nn.Module):
    """MLPNeRSTFModel with its projected weights as inputs, without the view direction (Shap-E leaves it at zero)."""

    def __init__(self, mlp: Any, projected: list[str]) -> None:
        super().__init__()
        self.layers = mlp.mlp
        self.hidden = mlp.config.d_hidden
        self.direction_at = mlp.config.insert_direction_at
        self.projected = projected
        self.frequencies = nn.Buffer(2.0 ** torch.arange(POSITION_DEGREES, dtype=torch.float32), persistent=False)

    def forward(self, points: torch.Tensor, weights: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Points [B,P,3] and projected weights [B,R,C] to all twelve channels [B,P,12] before their activations."""
        given = dict(zip(self.projected, weights, strict=True))
        hidden = self.encode(points)
        for i, layer in enumerate(self.layers):
            weight = given.get(f"mlp_{i}_weight", layer.weight[None])
            if i == self.direction_at:
                weight = weight[..., : self.hidden]
            hidden = torch.matmul(hidden, weight.transpose(1, 2)) + layer.bias
            if i < len(self.layers) - 1:
                hidden = F.silu(hidden)
        return hidden

    def encode(self, points: torch.Tensor) -> torch.Tensor:
        """NeRF's positional encoding [B,P,3] -> [B,P,93], in diffusers' order."""
        scaled = (points[..., None, :] * self.frequencies[:, None]).flatten(-2)
        return torch.cat([points, torch.sin(torch.cat([scaled, scaled + math.pi / 2.0], dim=-1))], dim=-1)


class ShapEField(nn.Module):
    """Points [B,P,3] and projected weights to signed distance (positive inside), density and texture colour."""

    def __init__(self, network: FieldNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, points: torch.Tensor, *weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        channels = self.network(points, weights)
        return (
            torch.tanh(channels[..., SIGNED_DISTANCE]),
            torch.relu(channels[..., DENSITY["fine"]]),
            torch.sigmoid(channels[..., TEXTURE]),
        )


def output_name(parameter: str) -> str:
    """The tensor that carries a projected parameter: nerstf.mlp.0.weight -> mlp_0_weight."""
    return parameter.removeprefix("nerstf.").replace(".", "_")
