"""Trajectories of a finished model: captions, and where its own guided sampling takes noise.

Kept in shards, so that a stopped run goes on with the next one.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, HeunDiscreteScheduler, PriorTransformer
from diffusers.models.attention_processor import AttnProcessor
from safetensors.torch import load_file, save_file
from torch import Tensor

from exporter.families.shap_e.model import load
from exporter.runtime.run import Run, requests_of
from training.captions import by_shape, draw_attributes, draw_caption, split
from training.config import TrajectoryConfig
from training.loop import DEVICE, Draw, TrainingReport, mixed_precision
from training.originals import original
from training.prior import make_scheduler


@dataclass
class Trajectories:
    """n solutions in diffusers' variance-preserving units, the first point noise and the last one latents."""

    embedding: Tensor  # [n, E]
    points: Tensor  # [n, points + 1, tokens, d]


def student_scheduler(horizon: int) -> HeunDiscreteScheduler:
    """Shap-E's own, without its noisiest levels: a student's few steps are not spent on noise that hides everything."""
    config = make_scheduler().config
    betas = make_scheduler().betas[:horizon].tolist()
    return HeunDiscreteScheduler.from_config(config, trained_betas=betas, num_train_timesteps=horizon)


def teacher_solver(config: TrajectoryConfig) -> DPMSolverMultistepScheduler:
    """DPM-Solver++ 2M (Lu et al. 2022) over evenly spaced timesteps, those of the students' DDIM among them."""
    solver = DPMSolverMultistepScheduler(
        num_train_timesteps=config.horizon,
        trained_betas=student_scheduler(config.horizon).betas.tolist(),
        prediction_type="sample",
        algorithm_type="dpmsolver++",
        timestep_spacing="trailing",
    )
    solver.set_timesteps(config.solver_steps)
    return solver


def load_trajectories(config: TrajectoryConfig, folder: Path) -> Trajectories:
    """The trajectories, from the work folder as far as they were made before."""
    shards = [folder / f"trajectories.{start:05}.safetensors" for start in range(0, config.count, config.batch)]
    missing = [path for path in shards if not path.exists()]
    if missing:
        record(config, shards, missing)
    parts = [load_file(path, device=str(DEVICE)) for path in shards]
    return Trajectories(**{key: torch.cat([part[key] for part in parts]).float() for key in parts[0]})


def record(config: TrajectoryConfig, shards: list[Path], missing: list[Path]) -> None:
    teacher = original(load(config.teacher), "heun", 1, config.guidance)
    prior = teacher.parts.prior().to(DEVICE)
    prior.set_attn_processor(AttnProcessor())
    latents = teacher.pipeline.stages["denoiser"].makes[0].shape[1:]
    captions = draw_captions(config)
    report = TrainingReport("trajectories", 0, len(missing))
    for done, path in enumerate(missing):
        shard = shards.index(path)
        chosen = captions[shard * config.batch : (shard + 1) * config.batch]
        run = Run(teacher, teacher.read(requests_of(teacher.pipeline, chosen)))
        embedding = torch.from_numpy(run["embedding"]).to(DEVICE)
        noise = Draw(config.seed, shard).normal(len(chosen), *latents)
        points = solve(prior, embedding, noise, config)
        temporary = path.with_suffix(".partial")
        save_file({"embedding": embedding, "points": points.half()}, temporary)
        temporary.replace(path)
        report.step(done)


def draw_captions(config: TrajectoryConfig) -> list[str]:
    """Captions as the prior was trained on them."""
    rng, groups = np.random.default_rng(config.seed), by_shape(split()[0])
    return [draw_caption(rng, draw_attributes(rng, groups))[0] for _ in range(config.count)]


@torch.no_grad()
def solve(prior: PriorTransformer, embedding: Tensor, noise: Tensor, config: TrajectoryConfig) -> Tensor:
    """Embeddings [B, E] and unit noise [B, N, D] to the kept points [B, points + 1, N, D]."""
    solver = teacher_solver(config)
    both = torch.cat([torch.zeros_like(embedding), embedding])
    sample, points = noise, [noise]
    for done, timestep in enumerate(solver.timesteps, start=1):
        with mixed_precision():
            output = prior(torch.cat([sample, sample]), timestep=timestep, proj_embedding=both)
        unconditional, conditional = output.predicted_image_embedding[..., : noise.shape[-1]].float().chunk(2)
        guided = unconditional + config.guidance * (conditional - unconditional)
        sample = solver.step(guided.clamp(-1, 1), timestep, sample).prev_sample
        if done % (config.solver_steps // config.points) == 0:
            points.append(sample)
    return torch.stack(points, 1)
