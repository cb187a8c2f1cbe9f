"""Point-E's published files, or others of the same tensors: which network one is for is told from its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from exporter.errors import WeightsError
from exporter.families.checkpoint import Shape, open_checkpoint
from exporter.families.point_e.networks import (
    CHANNELS,
    Condition,
    DiffusionSize,
    DistanceSize,
    PointDiffusion,
    SignedDistance,
)
from exporter.families.point_e.transformer import HEAD_WIDTH, parts_first
from exporter.families.weights import without_initialisation

SUFFIXES = (".pt", ".safetensors")
_SHOWN = 5
_FOREIGN = (
    (re.compile(r"^wrapped\.|^(backbone|encoder|renderer|params_proj)\..*(pos_emb|nerstf)|pos_emb$"), "Shap-E's"),
    (re.compile(r"^(prior|transformer_blocks|proj_to_clip_embeddings|mlp\.\d)"), "Shap-E's, in diffusers' layout"),
    (re.compile(r"^sa\d\.(mlp_convs|mlp_bns)\."), "those of the classifier that P-FID is measured with"),
    (
        re.compile(r"^(visual\.|text_model\.|vision_model\.|token_embedding)"),
        "CLIP's, which has a folder of its own",
    ),
    (re.compile(r"^image_tokenizer\.|^post_processor\."), "TripoSR's"),
)
Shapes = Mapping[str, Shape]


@dataclass(frozen=True)
class NetworkFile:
    """A file and the network that it is for. Nothing of its numbers is read before `network` is called."""

    path: Path
    size: DiffusionSize | DistanceSize

    def network(self) -> nn.Module:
        """The network with these weights in float32. Raises WeightsError that names the first tensors that are missing,
        unexpected or of another shape, or one that is not finite."""
        with without_initialisation(), torch.device("meta"):
            module = bare_network(self.size)
        tensors = open_checkpoint([self.path])
        _require_same(module, tensors.shapes, self.path)
        own = {name: _own(name, tensors.get(name), self.path) for name in tensors.shapes}
        module.load_state_dict(own, assign=True)
        return module.eval().requires_grad_(False)


def read_network_file(path: Path) -> NetworkFile | None:
    """What a file is for; none for one whose tensors are not Point-E's. Raises WeightsError for one that cannot be
    read."""
    size = size_of(open_checkpoint([path]).shapes)
    return NetworkFile(path, size) if size else None


def bare_network(size: DiffusionSize | DistanceSize) -> nn.Module:
    """A network of this size, not filled."""
    return SignedDistance(size) if isinstance(size, DistanceSize) else PointDiffusion(size)


def size_of(shapes: Shapes) -> DiffusionSize | DistanceSize | None:
    """The network that tensors of these shapes are for; none where they are not Point-E's."""
    if {"encoder_input_proj.weight", "decoder_input_proj.weight"} <= shapes.keys():
        width = shapes["encoder_input_proj.weight"][0]
        counts = [_count(shapes, rf"{part}\.resblocks\.(\d+)\.ln_1\.weight") for part in ("encoder", "decoder")]
        return DistanceSize(width, *counts) if width % HEAD_WIDTH == 0 else None
    ours = {"input_proj.weight", "output_proj.weight", "ln_pre.weight", "time_embed.c_fc.weight"} <= shapes.keys()
    if not ours or any(pattern.search(name) for name in shapes for pattern, _ in _FOREIGN):
        return None
    width = shapes["ln_pre.weight"][0]
    if width % HEAD_WIDTH or shapes["input_proj.weight"] != (width, CHANNELS):
        return None
    condition: Condition = "none"
    clip_width = 0
    if "clip_embed.weight" in shapes:
        condition, clip_width = "vector", shapes["clip_embed.weight"][-1]
    elif "clip_embed.0.weight" in shapes:
        condition, clip_width = "grid", shapes["clip_embed.0.weight"][0]
    layers = _count(shapes, r"backbone\.resblocks\.(\d+)\.ln_1\.weight")
    return DiffusionSize(width, layers, condition, clip_width, upsamples="cond_point_proj.weight" in shapes)


def whose(path: Path) -> str:
    """Whose tensors are in a file instead, as far as their names are known."""
    tensors = open_checkpoint([path]).shapes
    for pattern, owner in _FOREIGN:
        if any(pattern.search(name) for name in tensors):
            return f"its tensors are {owner}"
    return f"its tensors are of no network that is known here (the first is {next(iter(sorted(tensors)), 'none')})"


def _own(name: str, tensor: torch.Tensor, path: Path) -> torch.Tensor:
    """As the modules here have it: float32, and the parts of attention together."""
    own = parts_first(name, tensor.float())
    if not torch.isfinite(own).all():
        count = int((~torch.isfinite(own)).sum())
        raise WeightsError(f"{path}: {count} numbers of tensor '{name}' are not finite; download the file again")
    return own


def _count(shapes: Mapping[str, tuple[int, ...]], pattern: str) -> int:
    found = [int(match[1]) for name in shapes if (match := re.fullmatch(pattern, name))]
    return max(found, default=-1) + 1


def _require_same(module: nn.Module, found: Shapes, path: Path) -> None:
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    problems = [
        f"{name} is {list(found[name])}, wanted is {list(wanted[name])}"
        for name in sorted(wanted.keys() & found.keys())
        if wanted[name] != found[name]
    ]
    problems += [f"{name} {list(wanted[name])} is missing" for name in sorted(wanted.keys() - found.keys())]
    problems += [f"{name} {list(found[name])} is unexpected" for name in sorted(found.keys() - wanted.keys())]
    if problems:
        more = f"\n  … and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise WeightsError(
            f"{path}: not all of its tensors are Point-E's ({len(problems)} differ):\n  "
            + "\n  ".join(problems[:_SHOWN])
            + more
        )
