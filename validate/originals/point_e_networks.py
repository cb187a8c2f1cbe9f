"""Every published configuration of Point-E at full size beside openai/point-e, with the same random weights.

The authors' module is filled, run and saved as they save theirs; then ours is made of that file, as of a published one.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from exporter.families.point_e.network_file import NetworkFile, read_network_file
from exporter.families.weights import fill_random
from validate.originals.comparison import Comparison, compared

NETWORKS = (
    "base40M-uncond",
    "base40M-textvec",
    "base40M-imagevec",
    "base40M",
    "base300M",
    "base1B",
    "upsample",
    "sdf",
)
LIMIT = 1e-5
BATCH, TIMESTEPS = 2, (7, 800)
LOW_RES, QUERIES = 1024, 512


class GivenClip(torch.nn.Module):
    """In the place of their CLIP, ViT-L/14: what it would give is given."""

    feature_dim, grid_size, grid_feature_dim = 768, 16, 1024

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def forward(self, *_: Any, embeddings: Any = None, texts: Any = None, **__: Any) -> torch.Tensor:
        return texts if embeddings is None else embeddings

    def embed_images_grid(self, images: torch.Tensor) -> torch.Tensor:
        return images


@torch.inference_mode()
def compare_networks(names: Sequence[str]) -> Iterator[Comparison]:
    """One evaluation of each of these networks; the authors' code is importable already."""
    import point_e.models.transformer as theirs
    from point_e.models.configs import MODEL_CONFIGS, model_from_config

    theirs.FrozenImageCLIP = GivenClip
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            config = MODEL_CONFIGS[name]
            module = model_from_config(config, torch.device("cpu")).eval()
            fill_random(module, seed=0)
            path = Path(folder) / "random.pt"
            torch.save(module.state_dict(), path)
            given = _given(name, config["n_ctx"])
            expected = _theirs(module, name, given)
            parameters = sum(parameter.numel() for parameter in module.parameters())
            del module
            gc.collect()
            output = "signed distance" if name == "sdf" else "predicted noise"
            yield compared(name, output, parameters, _ours(path, name, given), expected, LIMIT)


def _given(name: str, points: int) -> dict[str, torch.Tensor]:
    """What the network takes, channels last: coordinates of about ±0.5 and colours to 255 in raw units."""
    draw = torch.Generator().manual_seed(1)
    if name == "sdf":
        cloud = torch.rand(1, points, 3, generator=draw) - 0.5
        return {"cloud": cloud, "queries": 1.02 * (torch.rand(1, QUERIES, 3, generator=draw) - 0.5)}
    given = {"x": torch.randn(BATCH, points, 6, generator=draw)}
    if name.endswith("vec"):
        vector = torch.randn(BATCH, GivenClip.feature_dim, generator=draw)
        given["embeddings"] = vector / vector.norm(dim=-1, keepdim=True)
    elif not name.endswith("uncond"):
        given["embeddings"] = torch.randn(BATCH, GivenClip.grid_size**2, GivenClip.grid_feature_dim, generator=draw)
    if name == "upsample":
        raw = torch.rand(BATCH, LOW_RES, 6, generator=draw)
        given["low_res"] = torch.cat([raw[..., :3] - 0.5, (255 * raw[..., 3:]).round()], dim=-1)
    return given


def _theirs(module: Any, name: str, given: dict[str, torch.Tensor]) -> torch.Tensor:
    """By their module, whose tensors have the channels before the points."""
    swapped = {key: tensor.transpose(1, 2) if tensor.dim() == 3 else tensor for key, tensor in given.items()}
    if name == "sdf":
        return module(swapped["queries"], point_clouds=swapped["cloud"])[..., None]
    return module(swapped.pop("x"), torch.tensor(TIMESTEPS), **swapped)[:, :6].transpose(1, 2)


def _ours(path: Path, name: str, given: dict[str, torch.Tensor]) -> torch.Tensor:
    checkpoint = read_network_file(path)
    assert isinstance(checkpoint, NetworkFile), name
    network: Any = checkpoint.network()
    if name == "sdf":
        return network(given["queries"], *network.encode(given["cloud"]))
    conditions = [given[key] for key in ("embeddings", "low_res") if key in given]
    return network(given["x"], torch.tensor(TIMESTEPS), *conditions)
