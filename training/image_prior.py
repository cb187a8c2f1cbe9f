"""The prior that takes a picture: the grid of tokens of the conditioner's vision tower in the place of the text.

It starts from layers of the text model's prior, the tower from a CLIP that learnt to match the text model's tower, and
both learn on together.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import PriorTransformer
from diffusers.models.attention_processor import AttnProcessor
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPModel, CLIPVisionModel

from exporter.families.shap_e.model import load
from training.clip import normalise, on_plain_backgrounds, smudge, train_clip
from training.config import Config, DataConfig, ImageConfig
from training.data import CHUNK, Dataset, pictures, sample_objects
from training.loop import DEVICE, Draw, TrainingReport, fit, mixed_precision
from training.noise_draws import decisive_levels
from training.objects import Scene
from training.prior import noise_levels, noised


@dataclass
class Views:
    """Objects, each as seen from one side, on white."""

    parameters: Tensor  # [N, PARAMETERS]
    images: Tensor  # u8 [N, S, S, 3]


class Seer(nn.Module):
    """What is trained together; `tower` and `prior` are what ships."""

    def __init__(self, tower: CLIPVisionModel, prior: PriorTransformer) -> None:
        super().__init__()
        self.tower, self.prior = tower, prior

    def forward(self, pixels: Tensor, seen: Tensor, noisy: Tensor, timestep: Tensor) -> Tensor:
        """Pixels [B, 3, S, S], whether each picture counts [B], latents and timesteps [B] -> clean latents."""
        grid = self.tower(pixels).last_hidden_state[:, 1:] * seen[:, None, None]
        output = self.prior(noisy, timestep=timestep, proj_embedding=grid).predicted_image_embedding
        return output[..., : noisy.shape[-1]].float()


def load_views(config: ImageConfig, data: DataConfig, folder: Path) -> Views:
    """The pictures, from the work folder if they were made before."""
    path = folder / "views.safetensors"
    if not path.exists():
        save_file(make_views(config, replace(data, views=1)), path.with_suffix(".partial"))
        path.with_suffix(".partial").replace(path)
    return Views(**load_file(path, device=str(DEVICE)))


def make_views(config: ImageConfig, data: DataConfig) -> dict[str, Tensor]:
    objects, _ = sample_objects(config.seed, config.objects, captions=1)
    report, images = TrainingReport("views", 0, len(objects)), []
    for start in range(0, len(objects), CHUNK):
        generator = torch.Generator(DEVICE).manual_seed(config.seed * 1_000_003 + start)
        images.append(pictures(Scene.of(objects[start : start + CHUNK], DEVICE), data, generator)[:, 0])
        report.step(min(start + CHUNK, len(objects)) - 1)
    return {
        "parameters": torch.stack([torch.from_numpy(o.parameters()) for o in objects]),
        "images": torch.cat(images).cpu(),
    }


def train_tower(config: Config, data: Dataset, folder: Path, vocabulary: int) -> CLIPModel:
    """A CLIP whose vision tower learnt to match the packaged text tower."""
    own = {"name": "matched_tower", "vision_width": config.image.tower_width, "schedule": config.image.tower}
    matched = replace(config.conditioner, **own, backgrounds=True)
    return train_clip(matched, data, folder, vocabulary, load(config.image.source).text_encoder().to(DEVICE))


def make_image_prior(config: ImageConfig, grid_width: int) -> PriorTransformer:
    """Fewer layers of the text model's prior, with a norm and a projection for the grid."""
    source = load(config.source).prior()
    changes = {"num_layers": len(config.layers), "embedding_proj_norm_type": "layer", "embedding_proj_dim": grid_width}
    prior = PriorTransformer.from_config(source.config, **changes)
    kept = {f"transformer_blocks.{layer}.": f"transformer_blocks.{i}." for i, layer in enumerate(config.layers)}
    state = {}
    for name, tensor in source.state_dict().items():
        block = ".".join([*name.split(".")[:2], ""])
        if name.startswith("transformer_blocks.") and block in kept:
            state[name.replace(block, kept[block], 1)] = tensor
        elif not name.startswith(("transformer_blocks.", "embedding_proj.")):
            state[name] = tensor
    prior.load_state_dict(state, strict=False)
    return prior


def train_image_prior(config: ImageConfig, views: Views, encoder: nn.Module, clip: CLIPModel, folder: Path) -> Seer:
    torch.manual_seed(config.prior.seed)
    tower = CLIPVisionModel(clip.config.vision_config)
    tower.load_state_dict(clip.vision_model.state_dict())
    tower.set_attn_implementation("eager")  # on CPUs, the fused kernel's gradient is far slower in bfloat16
    model = Seer(tower, make_image_prior(config, tower.config.hidden_size)).to(DEVICE)
    model.prior.set_attn_processor(AttnProcessor())
    sigmas = noise_levels()
    n = config.prior.batch

    def loss(step: int, draw: Draw) -> Tensor:
        objects = draw.integers(len(views.parameters), n)
        images = normalise(on_plain_backgrounds(views.images[objects], draw))
        seen = (draw.uniform(n) >= config.unconditional).float()
        timestep, weight = decisive_levels(n, draw)
        with torch.no_grad():
            clean = encoder(views.parameters[objects])
        noisy = noised(clean, sigmas[timestep], draw)
        with mixed_precision():
            predicted = model(smudge(images, draw, config.shift), seen, noisy, timestep)
        return (weight * (predicted - clean).square().mean((1, 2))).mean()

    return fit("image_prior", model, loss, config.prior, folder)
