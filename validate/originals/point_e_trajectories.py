"""Whole trajectories of Point-E beside openai/point-e's own `PointCloudSampler`, from the same noise.

The networks are small and random: what is compared is how they are sampled, at every one of the published levels. Ours
is what a recipe says, by the model that a build loads; theirs runs with the settings of its notebooks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from exporter.families.original import Original
from exporter.families.point_e.clip import random_clip
from exporter.families.point_e.network_file import read_network_file
from exporter.families.point_e.point_e_model import PointE
from exporter.families.point_e.random_networks import RANDOM_SIZES, TOKENIZER_MODEL, clip_configs
from exporter.families.weights import fill_random
from exporter.recipe.recipe import Recipe
from exporter.recipe.weights_name import ZOO
from exporter.runtime.run import Draws, Run
from validate.originals.comparison import Comparison, compared
from validate.originals.point_e_networks import GivenClip

LIMIT = 1e-5
ROUNDING = 3e-7
SEEDS = (3, 4)
POINTS = (64, 192)
SIZE = {"width": 128, "layers": 2, "heads": 2}
STEPS, LOWEST, HIGHEST = 64, 1e-3, {"base": 120.0, "upsampler": 160.0}


@dataclass(frozen=True)
class PointTrajectory:
    """`of`: the published configuration that the base model is a small one of. `guidance`: of the upsampler."""

    of: str
    churn: float
    guidance: float


TRAJECTORIES = {
    "64 + 64 levels, text, churn 3": PointTrajectory("base40M-textvec", 3.0, 0.0),
    "64 + 64 levels, text, churn 0": PointTrajectory("base40M-textvec", 0.0, 0.0),
    "64 + 64 levels, picture, churn 3": PointTrajectory("base40M", 3.0, 3.0),
    "64 + 64 levels, picture, churn 0": PointTrajectory("base40M", 0.0, 3.0),
}


@torch.inference_mode()
def compare_trajectories(names: Sequence[str]) -> Iterator[Comparison]:
    """Both models' points, in the units of diffusion; the authors' code is importable already."""
    import point_e.models.transformer as theirs

    theirs.FrozenImageCLIP = GivenClip
    for name in names:
        trajectory = TRAJECTORIES[name]
        with tempfile.TemporaryDirectory() as folder:
            modules = {stage: _module(trajectory, stage) for stage in HIGHEST}
            for stage, module in modules.items():
                torch.save(module.state_dict(), Path(folder) / f"{stage}.pt")
            run = _run(trajectory, Path(folder))
            ours = np.concatenate([run["base_latents"], run["upsampler_latents"]], axis=1)
            parameters = sum(p.numel() for module in modules.values() for p in module.parameters())
            expected = _their_points(trajectory, modules, run)
            row = compared(name, "points", parameters, ours, expected, LIMIT)
            yield row if row.passed else _held_to_rounding(row, trajectory, modules, run, expected)


def _module(trajectory: PointTrajectory, stage: str) -> Any:
    from point_e.models.configs import MODEL_CONFIGS, model_from_config

    config = MODEL_CONFIGS[trajectory.of if stage == "base" else "upsample"] | SIZE
    config["n_ctx"] = POINTS[0] if stage == "base" else POINTS[1]
    if stage == "upsampler":
        config["cond_ctx"] = POINTS[0]
    module = model_from_config(config, torch.device("cpu")).eval()
    fill_random(module, seed=len(stage))
    return module


def _run(trajectory: PointTrajectory, folder: Path) -> Run:
    """Ours, on what is drawn for CLIP's output."""
    text, vision = clip_configs(RANDOM_SIZES["point-e-40m-text"])
    base, upsampler = (read_network_file(folder / f"{stage}.pt") for stage in HIGHEST)
    assert base and upsampler
    model = PointE(
        source=str(folder),
        digest="",
        trained=False,
        reads="text" if _is_vector(trajectory) else "picture",
        base=base,
        upsampler=upsampler,
        distance=None,
        clip=random_clip(text, vision, ZOO / TOKENIZER_MODEL / "tokenizer", 0),
        points=POINTS,
    )
    draw = torch.Generator().manual_seed(1)
    if _is_vector(trajectory):
        vector = torch.randn(len(SEEDS), GivenClip.feature_dim, generator=draw)
        given = {"clip_vector": (vector / vector.norm(dim=-1, keepdim=True)).numpy()}
    else:
        grid = torch.randn(len(SEEDS), GivenClip.grid_size**2, GivenClip.grid_feature_dim, generator=draw)
        given = {"clip_grid": grid.numpy()}
    return Run(model.original(_recipe(trajectory)), given, SEEDS)


def _is_vector(trajectory: PointTrajectory) -> bool:
    return trajectory.of.endswith("vec")


def _recipe(trajectory: PointTrajectory) -> Recipe:
    shared: dict[str, Any] = {"scheduler": "heun", "steps": STEPS, "lowest_noise": LOWEST, "clamp": "openai"}
    base: dict[str, Any] = {"guidance_scale": 3.0, "highest_noise": HIGHEST["base"]}
    base |= {"churn": {"s_churn": trajectory.churn}} if trajectory.churn else {}
    upsampler = {"guidance_scale": trajectory.guidance, "highest_noise": HIGHEST["upsampler"]}
    return Recipe.model_validate(
        {
            "name": "notebook",
            "model": {"family": "point-e", "weights": "small"},
            "samplers": {"base": shared | base, "upsampler": shared | upsampler},
            "quantization": {"rules": []},
            "goldens": {"prompts": ["a"]},
            "validation": {"tolerances": {"fp32": {"stage_snr_db": 0.0}}},
        }
    )


def _their_points(trajectory: PointTrajectory, modules: dict[str, Any], run: Run) -> np.ndarray:
    """By `PointCloudSampler`, from the noise of our run."""
    import point_e.diffusion.k_diffusion as k_diffusion
    from point_e.diffusion.configs import DIFFUSION_CONFIGS, diffusion_from_config
    from point_e.diffusion.sampler import PointCloudSampler

    is_text = _is_vector(trajectory)
    sampler = PointCloudSampler(
        device=torch.device("cpu"),
        models=list(modules.values()),
        diffusions=[diffusion_from_config(DIFFUSION_CONFIGS[name]) for name in (trajectory.of, "upsample")],
        num_points=list(POINTS),
        aux_channels=["R", "G", "B"],
        guidance_scale=[3.0, trajectory.guidance],
        s_churn=[trajectory.churn, 0.0],
        **({"model_kwargs_key_filter": ("texts", "")} if is_text else {}),
    )
    given = run["clip_vector" if is_text else "clip_grid"]
    condition = {"texts": torch.from_numpy(given)} if is_text else {"images": torch.from_numpy(given).transpose(1, 2)}
    own, k_diffusion.th = k_diffusion.th, _RunNoise(run)
    try:
        raw = sampler.sample_batch(len(SEEDS), condition)
    finally:
        k_diffusion.th = own
    scaled = diffusion_from_config(DIFFUSION_CONFIGS["upsample"]).scale_channels(raw)
    return scaled.transpose(1, 2).numpy()


def _held_to_rounding(
    row: Comparison, trajectory: PointTrajectory, modules: dict[str, Any], run: Run, expected: np.ndarray
) -> Comparison:
    """The row with another limit: twice of what theirs is from itself with weights that are off by their rounding.

    Where x0 is made of noise that is multiplied by 100, a random network lets one coordinate follow every rounding.
    """
    draw = torch.Generator().manual_seed(0)
    for module in modules.values():
        for parameter in module.parameters():
            parameter.mul_(1.0 + ROUNDING * torch.randn(parameter.shape, generator=draw))
    off = np.linalg.norm(_their_points(trajectory, modules, run) - expected) / np.linalg.norm(expected)
    return replace(row, limit=max(LIMIT, 2.0 * float(off)))


class _RunNoise:
    """torch, but for what is drawn: the noise of a run, in the order in which theirs draws it.

    What ours begins with has the noise of the first step in it: theirs is scaled to the same, and draws none there.
    """

    def __init__(self, run: Run) -> None:
        self._numbers = iter([number for stage in HIGHEST for number in self._of_stage(run, stage)])

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def randn(self, *shape: int, **_: Any) -> torch.Tensor:
        return next(self._numbers)

    def randn_like(self, sample: torch.Tensor) -> torch.Tensor:
        return next(self._numbers)

    def _of_stage(self, run: Run, stage: str) -> Iterator[torch.Tensor]:
        draws = run.draws(stage)
        assert isinstance(run.programs, Original)
        scheduler = run.programs.samplers[stage].scheduler
        scheduler.set_timesteps(STEPS)
        yield _channels_first(draws, 0) * (float(scheduler.init_noise_sigma) / HIGHEST[stage])
        yield torch.zeros(())
        for step in range(1, STEPS):
            yield _channels_first(draws, 2 * step)


def _channels_first(draws: Draws, number: int) -> torch.Tensor:
    return torch.from_numpy(draws(number)).transpose(1, 2)
