"""A random Shap-E from a picture, small enough for every test, in the published layout, and pictures for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from exporter.recipe.recipe import Recipe
from tests.exporter.tiny import TOLERANCES, sampler

SIZE, PATCH, EDGE = 16, 4, 20
ROUGH = {
    "stage_snr_db": 5.0, "trajectory_snr_db": 5.0, "latents_relative_l2": 1.0, "mesh_iou": 0.1, "chamfer": 1.0,
    "render_psnr_db": 10.0,
}  # fmt: skip
"""Whether INT8 is good is no question for random weights."""
PREPROCESSING = {
    "crop_size": {"height": SIZE, "width": SIZE},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_processor_type": "CLIPImageProcessor",
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"shortest_edge": EDGE},
}


def image_recipe(pictures: list[str], weights: str = "tiny", rules: Sequence[dict] = (), **changes) -> Recipe:
    """A recipe for the tiny model, whose sampler has these changes. `rules`: of quantization."""
    return Recipe.model_validate(
        {
            "name": "tiny_image",
            "model": {"family": "shap-e-image", "weights": weights},
            "sampler": sampler(**changes).model_dump(),
            "mesh": {"grid": 24},
            "render": {"size": 16, "coarse_samples": 16, "fine_samples": 24},
            "quantization": {"rules": list(rules)},
            "goldens": {"prompts": pictures},
            "validation": {"tolerances": {"fp32": TOLERANCES, "fp16": ROUGH, "int8": ROUGH}},
        }
    )


def write_tiny_shap_e_image(folder: Path) -> Path:
    """A random one of a few thousand parameters, with the file names and the tensor names of openai/shap-e-img2img."""
    from diffusers import HeunDiscreteScheduler, PriorTransformer
    from diffusers.pipelines.shap_e.renderer import ShapERenderer
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModel

    from exporter.families.shap_e.random_weights import fill_random_part

    tower = CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            projection_dim=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=SIZE,
            patch_size=PATCH,
        )
    )
    prior = PriorTransformer(
        num_attention_heads=2,
        attention_head_dim=16,
        num_layers=2,
        embedding_dim=20,
        num_embeddings=64,
        additional_embeddings=0,
        time_embed_act_fn="gelu",
        norm_in_type="layer",
        embedding_proj_norm_type="layer",
        encoder_hid_proj_type=None,
        added_emb_type=None,
        time_embed_dim=48,
        embedding_proj_dim=32,
        clip_embed_dim=40,
    )
    renderer = ShapERenderer(
        param_names=[f"nerstf.mlp.{i}.weight" for i in range(4)],
        param_shapes=[(16, 93), (16, 16), (16, 16), (16, 16)],
        d_latent=20,
        d_hidden=16,
    )
    for seed, module in enumerate((tower, prior, renderer), start=10):
        fill_random_part(module, seed)
    encoder = folder / "image_encoder"
    encoder.mkdir(parents=True)
    tower.config.save_pretrained(encoder)
    published = {f"vision_model.{name}": value.contiguous() for name, value in tower.state_dict().items()}
    save_file(published, encoder / "model.safetensors", metadata={"format": "pt"})
    (folder / "image_processor").mkdir()
    (folder / "image_processor" / "preprocessor_config.json").write_text(json.dumps(PREPROCESSING))
    prior.save_pretrained(folder / "prior")
    renderer.save_pretrained(folder / "shap_e_renderer")
    HeunDiscreteScheduler(
        beta_schedule="exp", num_train_timesteps=1024, prediction_type="sample", use_karras_sigmas=True,
        clip_sample=True, clip_sample_range=1.0,
    ).save_pretrained(folder / "scheduler")  # fmt: skip
    return folder


def write_pictures(folder: Path, count: int = 3) -> list[Path]:
    """Photos of noise around a colour, each of another size."""
    folder.mkdir(parents=True, exist_ok=True)
    draw, paths = np.random.default_rng(4), []
    for i in range(count):
        pixels = draw.integers(0, 256, 3) + draw.normal(0, 30, (33 + 7 * i, 47 - 9 * i, 3))
        paths.append(folder / f"photo_{i}.png")
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(paths[-1])
    return paths
