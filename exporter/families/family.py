"""What a model family gives: its pipeline as data, modules to export, and the original they are compared with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch

from exporter.families.original import Original
from exporter.families.part_files import WeightsFile
from exporter.pipeline.pipeline import Pipeline
from exporter.recipe.recipe import Recipe

ModuleMaker = Callable[[], torch.nn.Module]


class Model(ABC):
    """Weights at hand. Heavy parts load when they are first needed, one at a time.

    `weights_files`: what they are read from; none of random ones. `weights_notes`: what a person should know of them.
    """

    weights_source: str
    weights_digest: str
    trained: bool
    weights_files: tuple[WeightsFile, ...] = ()
    weights_notes: tuple[str, ...] = ()

    def unfilled(self) -> Model:
        """The same model for its modules' names alone; a family that can leaves the weights out of them."""
        return self

    @abstractmethod
    def pipeline(self, recipe: Recipe) -> Pipeline:
        """Inputs, stages and assets, known without loading a weight. A stage of kind sample has its conditions as
        inputs and its latents as output."""

    @abstractmethod
    def input_files(self) -> dict[str, bytes]:
        """The files that the pipeline's inputs name, such as a tokenizer, by their path inside a bundle."""

    @abstractmethod
    def modules(self, recipe: Recipe) -> dict[str, ModuleMaker]:
        """By stage, what makes the module that is exported, of kind sample a `Denoiser`. A maker loads what it needs;
        dropping the module frees it. Modules are pure, in float32 and in evaluation mode."""

    @abstractmethod
    def scheduler(self, stage: str) -> Any:
        """A fresh diffusers scheduler of the configuration that comes with the weights, for a stage of kind sample."""

    @abstractmethod
    def original(self, recipe: Recipe) -> Original:
        """The model as its authors' code runs it, with this recipe's settings; loads its parts when they are used."""
