"""TripoSR's small model: a vision tower, a triplane transformer and a field, trained together from pictures."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from exporter.families.triposr.triplane_field import look_up
from exporter.families.triposr.triplane_networks import PART_CLASSES, scene_planes
from training.config import ReconstructorConfig, ViewConfig
from training.loop import DEVICE, Draw, fit, mixed_precision
from training.views import Views, in_frame

RADIUS, DENSITY_BIAS, LEVEL = 0.87, -1.0, 25.0
SURFACE = 1.0 + float(torch.tensor(LEVEL).log())  # what the network says where the density is the surface's


def released_config(config: ReconstructorConfig, views: ViewConfig) -> dict[str, Any]:
    """The model's sizes in the words of the released config.yaml; the vision tower's are written out beside them."""
    vision = {
        "hidden_size": config.vision_width,
        "num_hidden_layers": config.vision_layers,
        "num_attention_heads": config.vision_width // config.vision_head,
        "intermediate_size": 4 * config.vision_width,
        "patch_size": config.patch,
        "image_size": views.image_size,
    }
    return {
        "cond_image_size": views.image_size,
        "image_tokenizer_cls": "tsr.models.tokenizers.image.DINOSingleImageTokenizer",
        "image_tokenizer": {"vit": vision},
        "tokenizer_cls": "tsr.models.tokenizers.triplane.Triplane1DTokenizer",
        "tokenizer": {"plane_size": config.plane_size, "num_channels": config.width},
        "backbone_cls": "tsr.models.transformer.transformer_1d.Transformer1D",
        "backbone": {
            "in_channels": config.width,
            "num_attention_heads": config.heads,
            "attention_head_dim": config.width // config.heads,
            "num_layers": config.layers,
            "cross_attention_dim": config.vision_width,
        },
        "post_processor_cls": "tsr.models.network_utils.TriplaneUpsampleNetwork",
        "post_processor": {"in_channels": config.width, "out_channels": config.features},
        "decoder_cls": "tsr.models.network_utils.NeRFMLP",
        "decoder": {
            "in_channels": 3 * config.features,
            "n_neurons": config.neurons,
            "n_hidden_layers": config.hidden_layers,
            "activation": "silu",
        },
        "renderer_cls": "tsr.models.nerf_renderer.TriplaneNeRFRenderer",
        "renderer": {
            "radius": RADIUS,
            "feature_reduction": "concat",
            "density_activation": "exp",
            "density_bias": DENSITY_BIAS,
            "num_samples_per_ray": 128,
        },
    }


class Reconstructor(nn.Module):
    """The parts of a TripoSR by the names that a release has them under."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        vit = settings["image_tokenizer"]["vit"]
        self.image_tokenizer = PART_CLASSES["image_tokenizer"](vit, settings["cond_image_size"])
        for part in ("tokenizer", "backbone", "post_processor", "decoder"):
            self.add_module(part, PART_CLASSES[part](**settings[part]))

    def planes(self, pixels: Tensor) -> Tensor:
        return scene_planes(self.tokenizer, self.backbone, self.post_processor, self.image_tokenizer(pixels))

    def forward(self, pixels: Tensor, points: Tensor) -> Tensor:
        """Pictures [B, 3, S, S] and points of their frames [B, P, 3] to the decoder's raw outputs [B, P, 4]."""
        return self.decoder(look_up(self.planes(pixels).float(), points / RADIUS))


def field_loss(raw: Tensor, distance: Tensor, albedo: Tensor, softness: float) -> Tensor:
    """Of densities whose logarithm falls evenly through the surface, and of colours about it; `distance` [B, P] is
    negative inside."""
    inside = torch.sigmoid(-distance / softness)
    shape = F.binary_cross_entropy_with_logits(raw[..., 0] - SURFACE, inside)
    near = torch.exp(-((distance / (2 * softness)) ** 2))[..., None]
    return shape + 2 * (near * (torch.sigmoid(raw[..., 1:]) - albedo).square()).mean()


def roughen(images: Tensor, draw: Draw, shift: int) -> Tensor:
    """Pictures as photographs have them: soft edges, noise, another exposure, a shift by pixels."""
    soft = F.avg_pool2d(F.pad(images, (0, 1, 0, 1), mode="replicate"), 2, stride=1)
    images = torch.lerp(images, soft, draw.uniform(len(images), 1, 1, 1))
    right, down = (draw.integers(2 * shift + 1, 2) - shift).tolist()
    return (torch.roll(images, (right, down), (2, 3)) + 0.02 * draw.normal(*images.shape)).clamp(0, 1)


def train_reconstructor(config: ReconstructorConfig, of: ViewConfig, views: Views, folder: Path) -> Reconstructor:
    torch.manual_seed(config.schedule.seed)
    model = Reconstructor(released_config(config, of)).to(DEVICE)
    with torch.no_grad():
        model.decoder.layers[-1].bias[0] = SURFACE - 2  # more of the volume is empty than full

    def loss(step: int, draw: Draw) -> Tensor:
        n = config.schedule.batch
        objects = draw.integers(len(views.points), n)
        view = draw.integers(views.images.shape[1], n)
        chosen = draw.integers(views.points.shape[1], config.points)
        turn, center, scale = (values[objects, view] for values in (views.turn, views.center, views.scale))
        points = in_frame(views.points[objects][:, chosen].float(), turn, center, scale)
        distance = views.distance[objects][:, chosen].float() * scale[:, None]
        tone = views.tone[objects][:, chosen].long()
        albedo = views.tones[objects].gather(1, tone[..., None].expand(-1, -1, 3))
        images = (views.images[objects, view].float() / 255).permute(0, 3, 1, 2)
        with mixed_precision():
            raw = model(roughen(images, draw, config.shift), points)
        return field_loss(raw.float(), distance, albedo, config.softness)

    model.load_state_dict(fit("reconstructor", model, loss, config.schedule, folder).state_dict())
    return model.eval()
