"""Point-E in PyTorch, stage by stage, as its authors run it; `validate.originals` holds its networks to their code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers import CLIPImageProcessorPil

from exporter.families.original import Original
from exporter.families.point_e.clip import ClipTowers
from exporter.pipeline.pipeline import Pipeline
from exporter.recipe.recipe import Recipe
from exporter.runtime.run import Arrays, Request

Maker = Callable[[], nn.Module]


class PointEOriginal(Original):
    """`modules`: of the stages that are not sampled. `networks`: of those that are, whole, with every condition that
    they have. `grid`: the tokens [T, W] of no picture's grid, all zeros, for networks that take one."""

    def __init__(
        self,
        modules: Mapping[str, Maker],
        networks: Mapping[str, Maker],
        grid: tuple[int, int],
        clip: ClipTowers | None,
        pipeline: Pipeline,
        recipe: Recipe,
        schedulers: Callable[[str], Any],
    ) -> None:
        super().__init__(pipeline, recipe, schedulers)
        self.modules = {stage: cache(make) for stage, make in modules.items()}
        self.networks = {stage: cache(make) for stage, make in networks.items()}
        self.grid = grid
        self.clip = clip

    def read(self, requests: Sequence[Request]) -> Arrays:
        """Prompts to token ids [B,T], padded with 0 and cut to the context; pictures to pixels [B,3,S,S]."""
        if self.clip is None:
            return {}
        if "prompt" in self.pipeline.inputs:
            tokenizer = self.clip.tokenizer()
            tokenizer.pad_token_id = 0
            prompts = [request["prompt"] for request in requests]
            kept = {"padding": "max_length", "max_length": tokenizer.model_max_length, "truncation": True}
            return {"input_ids": tokenizer(prompts, return_tensors="np", **kept).input_ids.astype(np.int64)}
        picture = self.pipeline.pictures["picture"]
        size = picture.size
        processor = CLIPImageProcessorPil(
            size={"shortest_edge": size},
            crop_size={"height": size, "width": size},
            image_mean=picture.mean,
            image_std=picture.std,
        )
        pictures = [Image.open(request["picture"]).convert("RGB") for request in requests]
        return {"pixels": np.asarray(processor(pictures, return_tensors="np")["pixel_values"])}

    @torch.inference_mode()
    def run_program(self, stage: str, arrays: Arrays) -> Arrays:
        declared = self.pipeline.stages[stage]
        made = self.modules[stage]()(*(torch.from_numpy(arrays[spec.name]) for spec in declared.inputs))
        tensors = made if isinstance(made, tuple) else (made,)
        return {spec.name: tensor.numpy() for spec, tensor in zip(declared.outputs, tensors, strict=True)}

    def predict(
        self, stage: str, sample: torch.Tensor, timestep: torch.Tensor, *conditions: torch.Tensor
    ) -> torch.Tensor:
        network: Any = self.networks[stage]()
        wanted = (network.size.condition != "none") + network.size.upsamples
        if len(conditions) < wanted:
            conditions = (torch.zeros(len(sample), *self.grid), *conditions)
        return network(sample, timestep.expand(len(sample)), *conditions)

    def load(self) -> None:
        for make in (*self.modules.values(), *self.networks.values()):
            make()

    def with_network(self, wrap: Callable[[nn.Module], nn.Module]) -> PointEOriginal:
        wrapped = {stage: lambda make=make: wrap(make()) for stage, make in self.networks.items()}
        return PointEOriginal(self.modules, wrapped, self.grid, self.clip, self.pipeline, self.recipe, self.schedulers)
