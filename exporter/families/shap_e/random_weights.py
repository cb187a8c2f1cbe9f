"""Random Shap-Es: the configuration of openai/shap-e (a 300M prior over 1024 tokens of 1024, the text tower of CLIP
ViT-L/14) at that and at smaller sizes, and random weights that behave as a trained model's do in float32."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.pipelines.shap_e.renderer import ShapERenderer

from exporter.families.shap_e.mesh_tables import mesh_tables
from exporter.families.shap_e.modules import POSITION_DEGREES
from exporter.families.weights import fill_random

FIRST_GAIN, HIDDEN_GAIN = 4.0, 1.7
"""Of the field's first layer and of every later one, above weights that keep a variance through a linear layer: a silu
halves what is small. Fitted once, on random latents and several seeds: in 9 objects of 10 the distance changes its sign
inside the volume, and its standard deviation before the tanh is 0.3 (16 wide) to 0.7 (256 wide), which without gains is
0.002 around a constant, so that parity of a mesh proved nothing."""
SHAP_E_300M: dict[str, dict[str, Any]] = {
    "text_encoder": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "projection_dim": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "vocab_size": 49408,
        "max_position_embeddings": 77,
        "hidden_act": "quick_gelu",
    },
    "prior": {
        "num_attention_heads": 16,
        "attention_head_dim": 64,
        "num_layers": 24,
        "embedding_dim": 1024,
        "num_embeddings": 1024,
        "additional_embeddings": 0,
        "time_embed_act_fn": "gelu",
        "norm_in_type": "layer",
        "embedding_proj_norm_type": None,
        "encoder_hid_proj_type": None,
        "added_emb_type": None,
        "time_embed_dim": 4096,
        "embedding_proj_dim": 768,
        "clip_embed_dim": 2048,
    },
    "scheduler": {
        "beta_schedule": "exp",
        "num_train_timesteps": 1024,
        "prediction_type": "sample",
        "use_karras_sigmas": True,
        "clip_sample": True,
        "clip_sample_range": 1.0,
    },
    "shap_e_renderer": {
        "param_names": [f"nerstf.mlp.{i}.weight" for i in range(4)],
        "param_shapes": [[256, 93], [256, 256], [256, 256], [256, 256]],
        "d_latent": 1024,
        "d_hidden": 256,
        "n_output": 12,
        "n_hidden_layers": 6,
        "act_fn": "swish",
        "insert_direction_at": 4,
        "background": [255.0, 255.0, 255.0],
    },
}


# Of openai/shap-e-img2img what differs: the vision tower of CLIP ViT-L/14, and fewer heads in the prior.
SHAP_E_IMAGE_300M: dict[str, dict[str, Any]] = {
    "image_encoder": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "projection_dim": 768,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
        "hidden_act": "quick_gelu",
    },
    "image_processor": {
        "do_resize": True,
        "size": {"shortest_edge": 224},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": 224, "width": 224},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "do_convert_rgb": True,
    },
    "prior": SHAP_E_300M["prior"]
    | {
        "num_attention_heads": 8,
        "attention_head_dim": 128,
        "embedding_proj_norm_type": "layer",
        "embedding_proj_dim": 1024,
    },
    "scheduler": SHAP_E_300M["scheduler"],
    "shap_e_renderer": SHAP_E_300M["shap_e_renderer"],
}


def scaled_image(width: int, layers: int) -> dict[str, dict[str, Any]]:
    """The image model with a denoiser of another width (a multiple of 128) and depth; pictures and the number of their
    tokens stay."""
    full, own = SHAP_E_IMAGE_300M, scaled(width, layers)
    share = width / full["prior"]["embedding_dim"]
    tower = {key: round(full["image_encoder"][key] * share) for key in ("hidden_size", "intermediate_size")}
    changes = {"num_attention_heads": width // 128, "attention_head_dim": 128, "embedding_proj_norm_type": "layer"}
    return {
        "image_encoder": full["image_encoder"] | tower | {"num_hidden_layers": layers, "num_attention_heads": 4},
        "image_processor": full["image_processor"],
        "prior": own["prior"] | changes | {"embedding_proj_dim": tower["hidden_size"]},
        "scheduler": own["scheduler"],
        "shap_e_renderer": own["shap_e_renderer"],
    }


def scaled(width: int, layers: int) -> dict[str, dict[str, Any]]:
    """The same model with a denoiser of another width (a multiple of 128) and depth; all that goes with the width is
    scaled, and latents of 1024 tokens stay as many."""
    text, prior, renderer = (SHAP_E_300M[part] for part in ("text_encoder", "prior", "shap_e_renderer"))
    share = width / prior["embedding_dim"]
    widths = {key: round(text[key] * share) for key in ("hidden_size", "intermediate_size", "projection_dim")}
    return {
        "text_encoder": text | widths | {"num_attention_heads": max(1, int(text["num_attention_heads"] * share))},
        "prior": prior
        | {key: round(prior[key] * share) for key in ("embedding_dim", "time_embed_dim", "clip_embed_dim")}
        | {
            "embedding_proj_dim": widths["projection_dim"],
            "num_attention_heads": round(prior["num_attention_heads"] * share),
            "num_layers": layers,
        },
        "scheduler": SHAP_E_300M["scheduler"],
        "shap_e_renderer": renderer | {"d_latent": width},
    }


# By the number of parameters of their denoisers.
RANDOM_CONFIGS = {
    "shap-e-1m": scaled(128, 4),
    "shap-e-5m": scaled(256, 5),
    "shap-e-22m": scaled(512, 6),
    "shap-e-92m": scaled(768, 12),
    "shap-e-300m": SHAP_E_300M,
}

RANDOM_IMAGE_CONFIGS = {"shap-e-image-1m": scaled_image(128, 4), "shap-e-image-300m": SHAP_E_IMAGE_300M}


def fill_random_part(module: torch.nn.Module, seed: int) -> None:
    """Seeded random weights for one part of a Shap-E.

    The field's weights have gains that make a surface, and those of the position's high frequencies are smaller by
    2^-degree: a field as smooth as a trained one. White weights would make a noise of which two
    evaluations differ in float32 by their first rounding, which the encoding multiplies by 2^14. The tables of marching
    cubes, which a checkpoint carries too, are the real ones.
    """
    fill_random(module, seed)
    if isinstance(module, ShapERenderer):
        for table, values in zip((module.mesh_decoder.cases, module.mesh_decoder.masks), mesh_tables(), strict=True):
            table.copy_(values)
        projections = list(module.params_proj.projections.values())
        with torch.no_grad():
            for number, projection in enumerate(projections):
                scale = _frequency_scale(projection.channels) * (HIDDEN_GAIN if number else FIRST_GAIN)
                projection.norm.weight.copy_(scale * projection.channels**-0.5)
                projection.proj.bias.view(projection.vectors, -1).mul_(scale)
            for layer in module.mlp.mlp[len(projections) :]:
                layer.weight.mul_(HIDDEN_GAIN)


def _frequency_scale(channels: int) -> torch.Tensor:
    if channels != 3 + 6 * POSITION_DEGREES:
        return torch.ones(channels)
    by_degree = (2.0 ** -torch.arange(POSITION_DEGREES)).repeat_interleave(3)
    return torch.cat([torch.ones(3), by_degree, by_degree])
