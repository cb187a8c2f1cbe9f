"""The prior: Shap-E's diffusion transformer from a text embedding to latents, with classifier-free guidance (Ho and
Salimans 2022).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import HeunDiscreteScheduler, PriorTransformer
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPModel

from training.config import LatentConfig, PriorConfig
from training.data import sample_objects, tokenized
from training.latents import Encoder
from training.loop import DEVICE, Draw, fit, mixed_precision
from training.noise_draws import DrawLevels, decisive_levels


def make_scheduler() -> HeunDiscreteScheduler:
    """Shap-E's own."""
    return HeunDiscreteScheduler(
        beta_schedule="exp", num_train_timesteps=1024, prediction_type="sample", use_karras_sigmas=True,
        clip_sample=True, clip_sample_range=1.0,
    )  # fmt: skip


def make_prior(config: PriorConfig, latents: LatentConfig, text_width: int) -> PriorTransformer:
    prior = PriorTransformer(
        num_attention_heads=config.heads,
        attention_head_dim=config.head_size,
        num_layers=config.layers,
        embedding_dim=latents.d_latent,
        num_embeddings=latents.tokens,
        additional_embeddings=0,
        time_embed_act_fn="gelu",
        norm_in_type="layer",
        encoder_hid_proj_type=None,
        added_emb_type=None,
        time_embed_dim=config.time_width,
        embedding_proj_dim=text_width,
        clip_embed_dim=2 * latents.d_latent,
    )
    with torch.no_grad():
        nn.init.normal_(prior.positional_embedding, std=0.5)
        prior.proj_to_clip_embeddings.weight[latents.d_latent :].zero_()
        prior.proj_to_clip_embeddings.bias[latents.d_latent :].zero_()
    return prior


@torch.no_grad()
def text_embeddings(clip: CLIPModel, tokens: Tensor) -> Tensor:
    """Token ids [T, L] -> normalised embeddings rescaled to unit variance [T, E], as ShapEPipeline does."""
    embedding = clip.text_projection(clip.text_model(tokens).pooler_output)
    return embedding / embedding.norm(dim=-1, keepdim=True) * math.sqrt(embedding.shape[-1])


def noise_levels() -> Tensor:
    """sigma at each of the 1024 training timesteps."""
    kept = make_scheduler().alphas_cumprod.double()
    return ((1 - kept) / kept).sqrt().float().to(DEVICE)


def noised(clean: Tensor, sigma: Tensor, draw: Draw) -> Tensor:
    """Latents [B, N, D] at noise levels [B], in variance-preserving units."""
    sigma = sigma[:, None, None]
    return (clean + sigma * draw.normal(*clean.shape)) / (sigma.square() + 1).sqrt()


@dataclass
class Examples:
    """Objects and what may be said of them."""

    parameters: Tensor  # [N, PARAMETERS]
    caption: Tensor  # i64 [N, C] index into `tokens`
    tokens: Tensor  # i64 [T, L]


def fresh_examples(count: int, captions: int, seed: int) -> Examples:
    objects, said = sample_objects(seed, count, captions)
    index = {text: i for i, text in enumerate(sorted({text for row in said for text, _ in row}))}
    return Examples(
        torch.tensor(np.stack([o.parameters() for o in objects]), device=DEVICE),
        torch.tensor([[index[text] for text, _ in row] for row in said], device=DEVICE),
        tokenized(list(index)).to(DEVICE),
    )


def train_prior(
    config: PriorConfig, latent_config: LatentConfig, encoder: Encoder, clip: CLIPModel, folder: Path
) -> PriorTransformer:
    torch.manual_seed(config.schedule.seed)
    data = fresh_examples(config.objects, captions=1, seed=config.schedule.seed)
    embeddings = text_embeddings(clip, data.tokens)
    model = make_prior(config, latent_config, embeddings.shape[-1]).to(DEVICE)
    loss = denoising_loss(
        model, encoder, data, embeddings, config.schedule.batch, config.unconditional, decisive_levels
    )
    return fit("prior", model, loss, config.schedule, folder)


def denoising_loss(
    model: PriorTransformer,
    encoder: nn.Module,
    data: Examples,
    embeddings: Tensor,
    n: int,
    unconditional: float,
    draw_levels: DrawLevels,
) -> Callable[[int, Draw], Tensor]:
    """The loss of a step: how far from `encoder`'s latents the model's answers are, at `n` noise levels."""
    model.set_attn_processor(AttnProcessor())  # on CPUs, the fused kernel's gradient is far slower in bfloat16
    sigmas = noise_levels()

    def loss(step: int, draw: Draw) -> Tensor:
        objects = draw.integers(len(data.parameters), n)
        text = embeddings[data.caption[objects, draw.integers(data.caption.shape[1], n)]]
        text = text * (draw.uniform(n, 1) >= unconditional)
        timestep, weight = draw_levels(n, draw)
        with torch.no_grad():
            clean = encoder(data.parameters[objects])
        noisy = noised(clean, sigmas[timestep], draw)
        with mixed_precision():
            predicted = model(noisy, timestep=timestep, proj_embedding=text).predicted_image_embedding
        squares = (predicted[..., : clean.shape[-1]].float() - clean).square()
        return (weight * squares.mean((1, 2))).mean()

    return loss
