"""The packaged prior trained on: its latents are those of an encoder matched to the packaged renderer and to itself.

How an object is turned is decided at noise levels of 0.5 to 5, and is lost again below by a model that hardly learnt
them: a chair's back, in as many directions as there are turns, came out as their mean, which is no back.
"""

from pathlib import Path

import torch
from diffusers import PriorTransformer
from torch import nn

from exporter.families.shap_e.model import load
from training.config import RefinedConfig
from training.loop import DEVICE, fit
from training.matched_encoder import text_embeddings_of
from training.noise_draws import even_levels
from training.prior import denoising_loss, fresh_examples, noise_levels


def train_refined_prior(config: RefinedConfig, source: str, encoder: nn.Module, folder: Path) -> PriorTransformer:
    """The prior of the packaged weights `source` after more steps against `encoder`'s latents."""
    torch.manual_seed(config.seed)
    data = fresh_examples(config.objects, captions=1, seed=config.seed)
    model = load(source).prior().to(DEVICE).requires_grad_(True)
    embeddings = text_embeddings_of(source, data.tokens)
    loss = denoising_loss(
        model, encoder, data, embeddings, config.schedule.batch, config.unconditional, even_levels(noise_levels())
    )
    return fit("refined_prior", model, loss, config.schedule, folder)
