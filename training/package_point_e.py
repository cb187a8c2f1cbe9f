"""Writes Point-E's small model into the zoo, its networks as the published files have them, in half precision."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from exporter.families.point_e.transformer import heads_first
from exporter.families.point_e.zoo_files import BASE, DISTANCE, UPSAMPLER
from training.config import PointEConfig
from training.package import ZOO, checked_size, compute_in_float32, replace_keeping_card
from training.point_diffusion import picture_tower

TEXT, IMAGE = "point_e_mini", "point_e_mini_image"


def package_point_e(
    config: PointEConfig,
    text: nn.Module,
    image: nn.Module,
    upsampler: nn.Module,
    distance: nn.Module,
    zoo: Path = ZOO,
) -> int:
    """Writes both models under `zoo`, cards kept; the size of both in bytes."""

    def write_text(folder: Path) -> None:
        folder.mkdir()
        for name, network in ((BASE, text), (UPSAMPLER, upsampler), (DISTANCE, distance)):
            save_file(published(network), folder / name)

    def write_image(folder: Path) -> None:
        folder.mkdir()
        save_file(published(image), folder / BASE)
        picture_tower(config).model.cpu().half().save_pretrained(folder / "image_encoder")
        compute_in_float32(folder / "image_encoder" / "config.json")

    for name, write in ((TEXT, write_text), (IMAGE, write_image)):
        replace_keeping_card(zoo / name, write)
    checked_size(zoo)
    return sum(file.stat().st_size for name in (TEXT, IMAGE) for file in (zoo / name).rglob("*") if file.is_file())


def published(network: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of a network as a published file has them."""
    state = network.state_dict()
    return {name: heads_first(name, tensor).half().contiguous().cpu() for name, tensor in state.items()}
