"""What one call of `Bundle.generate` is asked for, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from exporter.errors import RecipeError
from exporter.pipeline.assets import MeshAsset
from exporter.pipeline.pipeline import Pipeline

# What is at work, how much of it is done, and how much there is at most. What it raises ends the work.
OnProgress = Callable[[str, int, int], None]


class GenerateProgress:
    """Reports of one call of `generate`, of all its objects together."""

    def __init__(self, report: OnProgress | None, objects: int, pipeline: Pipeline, grid: int | None) -> None:
        self.report = report or (lambda what, done, total: None)
        self.evaluations = objects * sum(sampling.evaluations for sampling in pipeline.samplings.values())
        mesh = pipeline.asset(MeshAsset)
        self.lattice = (grid or mesh.grid) ** 3 if mesh else 0
        self.total = objects * self.lattice
        self.moved = self.done = self.points = 0

    def sampled(self, objects: int) -> None:
        """After an evaluation of a sampler."""
        self.moved += objects
        self.report("sampling", self.moved, self.evaluations)

    def evaluated(self, stage: str, points: int) -> None:
        """After an evaluation of the field; with the colours it may take more points than the lattice has."""
        self.points = min(self.points + points, self.lattice)
        self.report("mesh", self.done + self.points, self.total)

    def meshed(self) -> None:
        """After an object."""
        self.done, self.points = self.done + self.lattice, 0
        self.report("mesh", self.done, self.total)


def is_one_seed(seed: object) -> bool:
    """Whether it is no list of seeds; what is no seed either is refused by its name later."""
    return isinstance(seed, str) or not isinstance(seed, Sequence)


def pairs(prompt: Any, seed: Any) -> list[tuple[Any, Any]]:
    """Prompts with their seeds. Raises RecipeError for lists of two lengths, or of none."""
    prompts = prompt if isinstance(prompt, list) else None
    seeds = None if is_one_seed(seed) else list(seed)
    given, drawn = (1 if listed is None else len(listed) for listed in (prompts, seeds))
    if 0 in (given, drawn) or (prompts and seeds and given != drawn):
        raise RecipeError(
            f"{'seed' if given else 'prompt'}: {given} prompts and {drawn} seeds; give one seed for all prompts, one "
            "prompt for all seeds, or as many of one as of the other"
        )
    return list(zip(prompts or [prompt] * drawn, seeds or [seed] * given, strict=True))


def described(given: object) -> str:
    """What an object is made of, in words: a prompt, the path of a picture, or nothing."""
    if given is None:
        return ""
    return str(given) if isinstance(given, str | Path) else "a picture"
