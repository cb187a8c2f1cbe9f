"""A latent encoder for a renderer that is finished: its latents say what the packaged renderer and the packaged prior
understand by them.

The renderer alone would leave the encoder many ways to say the same. Of those it takes one that the text model's prior
finds likely, so that a prior which starts from that one starts close to its goal.
"""

import math
from pathlib import Path

import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from torch.nn import functional as F

from exporter.families.shap_e.model import load
from training.config import ImageConfig, LatentConfig
from training.data import Dataset
from training.latents import Encoder, field_loss, partly_turned, query
from training.loop import DEVICE, Draw, fit, mixed_precision
from training.prior import noise_levels, noised


def train_matched_encoder(config: ImageConfig, latents: LatentConfig, data: Dataset, folder: Path) -> nn.Module:
    torch.manual_seed(config.encoder.seed)
    source = load(config.source)
    renderer, prior = source.renderer().to(DEVICE), source.prior().to(DEVICE)
    prior.set_attn_processor(AttnProcessor())
    said = text_embeddings_of(config.source, data.tokens)
    sigmas = noise_levels()
    encoder = Encoder(latents).to(DEVICE)

    def unlikely(clean: Tensor, objects: Tensor, draw: Draw) -> Tensor:
        """How far latents are from what the prior makes of them, noised."""
        low, high = (math.log(level) for level in config.doubt)
        wanted = (low + (high - low) * draw.uniform(len(clean))).exp()
        timestep = torch.searchsorted(sigmas, wanted)
        noisy = noised(clean.detach(), sigmas[timestep], draw)
        text = said[data.caption[objects, draw.integers(data.caption.shape[1], len(objects))]]
        with torch.no_grad(), mixed_precision():
            likely = prior(noisy, timestep=timestep, proj_embedding=text).predicted_image_embedding
        return F.mse_loss(clean, likely[..., : clean.shape[-1]].float())

    def loss(step: int, draw: Draw) -> Tensor:
        objects = draw.integers(len(data.parameters), config.encoder.batch)
        chosen = draw.integers(data.points.shape[1], latents.points)
        albedo = data.tones[objects].gather(1, data.tone[objects][:, chosen].long()[..., None].expand(-1, -1, 3))
        share = min(1.0, 0.1 + 0.9 * step / config.turning)
        parameters, points = partly_turned(data.parameters[objects], data.points[objects][:, chosen].float(), share)
        distance, shade = (values[objects][:, chosen].float() for values in (data.distance, data.shade))
        clean = encoder(parameters)
        field = query(renderer, renderer.params_proj(clean), points)
        few = slice(config.doubted)
        return field_loss(field, distance, albedo, shade, float(share == 1)) + config.likely * unlikely(
            clean[few], objects[few], draw
        )

    return fit("matched_encoder", encoder, loss, config.encoder, folder)


@torch.no_grad()
def text_embeddings_of(source: str, tokens: Tensor) -> Tensor:
    """Token ids [T, L] to what conditions the prior of packaged weights [T, E]."""
    embedding = load(source).text_encoder().to(DEVICE)(tokens).text_embeds
    return embedding / embedding.norm(dim=-1, keepdim=True) * math.sqrt(embedding.shape[-1])
