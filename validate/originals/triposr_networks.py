"""TripoSR at full size beside VAST-AI-Research/TripoSR, with the same random weights.

The authors' module is filled, run and saved as they save theirs; then ours is made of that file, as of a release.
"""

from __future__ import annotations

import gc
import json
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from torch.nn import functional as F

from exporter.families.registry import load_model
from exporter.families.triposr.random_planes import RANDOM_SIZES, fill_random_part
from exporter.families.triposr.triplane_field import Radiance, TriplaneRenderer
from exporter.families.triposr.triplane_networks import PART_CLASSES, VIT_B16
from exporter.families.weights import fill_random
from exporter.runtime.inputs.picture import PictureReader
from validate.originals.comparison import Comparison, compared

NETWORKS = ("pixels", "planes", "field", "rays")
LIMITS = {"pixels": 1e-6, "planes": 1e-5, "field": 1e-5, "rays": 1e-5}
POINTS, VIEW = 4096, 24
# What the authors' files import and a forward pass has no use for.
UNUSED = ("rembg", "imageio", "torchmcubes")


@torch.inference_mode()
def compare(code: Path, networks: Sequence[str]) -> Iterator[Comparison]:
    """One picture through both, and the outputs of these networks."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, utils = _authors_model(code, folder)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        picture = _picture()
        points = model.renderer.cfg.radius * (2 * torch.rand(POINTS, 3, generator=_draw(1)) - 1)
        rays = utils.get_spherical_cameras(1, 20.0, 1.9, 40.0, VIEW, VIEW)
        theirs = _theirs(model, utils, picture, points, rays)
        del model
        gc.collect()
        ours = _ours(folder, picture, points, rays)
    for output, expected in theirs.items():
        network = output.partition(":")[0]
        if network in networks:
            told = output.partition(":")[2] or output
            yield compared(network, told, parameters, ours[output], expected, LIMITS[network])


def _authors_model(code: Path, folder: Path) -> tuple[Any, Any]:
    """The authors' module with random weights, saved into `folder` as a release; and their helpers."""
    sys.path.insert(0, str(code))
    for name in UNUSED:
        sys.modules.setdefault(name, _stand_in(name))
    import tsr.models.tokenizers.image as vision
    from tsr import utils
    from tsr.system import TSR

    tower = folder / "vit" / "config.json"
    tower.parent.mkdir()
    tower.write_text(json.dumps(VIT_B16 | {"model_type": "vit"}))
    vision.hf_hub_download = lambda **_: str(tower)
    config = RANDOM_SIZES["triposr"]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    from omegaconf import OmegaConf

    settings = OmegaConf.create(config)
    OmegaConf.resolve(settings)
    model = TSR(settings).eval()
    for seed, part in enumerate(PART_CLASSES):
        fill_random_part(model.get_submodule(part), part, seed)
    fill_random(model.image_tokenizer.model.pooler, seed=9)
    model.image_tokenizer.model.embeddings.interpolate_pos_encoding = _positions(model.image_tokenizer.model)
    torch.save(model.state_dict(), folder / "model.ckpt")
    return model, utils


def _positions(vision: Any) -> Any:
    """Their pinned transformers 4.35.0's `interpolate_pos_encoding`, whatever version runs here: later ones scale the
    grid by another factor."""

    def interpolated(embeddings: torch.Tensor, height: int, width: int) -> torch.Tensor:
        known, patch = vision.embeddings.position_embeddings, vision.config.patch_size
        side, width_ = math.isqrt(known.shape[1] - 1), known.shape[-1]
        factors = tuple((edge // patch + 0.1) / side for edge in (height, width))
        grid = known[:, 1:].reshape(1, side, side, width_).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, scale_factor=factors, mode="bicubic", align_corners=False)
        return torch.cat([known[:, :1], grid.permute(0, 2, 3, 1).reshape(1, -1, width_)], dim=1)

    return interpolated


def _theirs(model: Any, utils: Any, picture: Image.Image, points: torch.Tensor, rays: Any) -> dict[str, Any]:
    """By their modules; what lies between is as in their run.py."""
    image = np.array(utils.resize_foreground(picture, 0.85)).astype(np.float32) / 255.0
    image = image[:, :, :3] * image[:, :, 3:4] + (1 - image[:, :, 3:4]) * 0.5
    framed = Image.fromarray((image * 255.0).astype(np.uint8))
    pixels = model.image_processor(framed, model.cfg.cond_image_size)[0].permute(2, 0, 1)
    planes = model([framed], "cpu")
    seen = model.renderer.query_triplane(model.decoder, points, planes[0])
    colors = model.renderer(model.decoder, planes[0], rays[0][0], rays[1][0])
    return {
        "pixels": pixels,
        "planes": planes,
        "field:density": seen["density_act"],
        "field:color": seen["color"],
        "rays": colors.flatten(0, 1),
    }


def _ours(folder: Path, picture: Image.Image, points: torch.Tensor, rays: Any) -> dict[str, Any]:
    """By the modules that are exported."""
    model: Any = load_model("triposr", str(folder))
    pixels = torch.from_numpy(PictureReader(model.picture).encode([picture]))
    planes = model.planes()(model.vision()[0](pixels))
    radiance = Radiance(model.part("decoder"), model.config.field)
    density, color = radiance(points[None], planes)
    along = torch.stack([rays[0][0].flatten(0, 1), rays[1][0].flatten(0, 1)], dim=1)[None]
    colors = TriplaneRenderer(radiance, model.config.samples_per_ray)(along, planes)
    return {
        "pixels": pixels[0],
        "planes": planes,
        "field:density": density[0],
        "field:color": color[0],
        "rays": colors[0],
    }


def _picture() -> Image.Image:
    """A disc of noise with soft edges on nothing, 400 by 300 pixels."""
    rows, columns = np.mgrid[:300, :400]
    away = np.hypot(rows - 140, (columns - 210) / 1.3)
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 4), dtype=np.uint8)
    pixels[..., 3] = np.clip(25.5 * (110 - away), 0, 255)
    return Image.fromarray(pixels)


def _stand_in(name: str) -> ModuleType:
    module = ModuleType(name)
    module.marching_cubes = None  # type: ignore[attr-defined]
    return module


def _draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
