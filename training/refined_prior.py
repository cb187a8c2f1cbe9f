"""The packaged prior trained on: its latents are those of an encoder matched to the packaged renderer and to itself."""

from pathlib import Path

import torch
from diffusers import PriorTransformer
from torch import nn

from exporter.families.shap_e.model import load
from training.config import RefinedConfig
from training.loop import DEVICE, fit
from training.matched_encoder import text_embeddings_of
from training.prior import denoising_loss, fresh_examples


def train_refined_prior(config: RefinedConfig, source: str, encoder: nn.Module, folder: Path) -> PriorTransformer:
    """The prior of the packaged weights `source` after more steps against `encoder`'s latents."""
    torch.manual_seed(config.seed)
    data = fresh_examples(config.objects, captions=1, seed=config.seed)
    model = load(source).prior().to(DEVICE).requires_grad_(True)
    embeddings = text_embeddings_of(source, data.tokens)
    loss = denoising_loss(model, encoder, data, embeddings, config.schedule.batch, config.unconditional)
    return fit("refined_prior", model, loss, config.schedule, folder)
