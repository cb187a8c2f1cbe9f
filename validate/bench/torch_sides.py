"""The PyTorch original as a side: as it is, in bfloat16, compiled, and with its networks exported by others."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils._pytree import tree_map

from exporter.families.original import Original
from exporter.machine.timing import Action
from exporter.manifest import Manifest
from exporter.recipe.recipe import Recipe
from exporter.recipe.sampler_section import SamplerSection
from exporter.runtime.assets.pictures import view_rays
from exporter.runtime.rendering import render_rays
from exporter.runtime.run import Arrays, Draws, OnStep, Run, unit_noise
from validate.bench.exported_networks import ConvertedByOpenVino, PlainExport
from validate.bench.sides import Side
from validate.objects.reference import load_reference

Network = torch.nn.Module


class TorchSide(Side):
    """The original of a family, on threads that are PyTorch's own (torch.set_num_threads)."""

    def __init__(self, original: Original) -> None:
        self.programs = self.original = original

    def open(self) -> None:
        self.original.load()

    def evaluations(self, stage: str) -> int:
        return len(self.original.samplers[stage].evaluations())

    def guided_evaluations(self, stage: str) -> NDArray[np.bool_]:
        return np.array([evaluation.guided for evaluation in self.original.samplers[stage].evaluations()])

    def evaluation(self, stage: str, conditions: Arrays) -> Action:
        sampler = self.original.samplers[stage]
        evaluation = sampler.evaluations()[self.guided_evaluations(stage).argmax()]
        sample = torch.from_numpy(unit_noise([0], self.pipeline.stages[stage].makes[0].shape[1:]))
        given = [torch.from_numpy(condition) for condition in self.original.conditions(stage, conditions)]
        return lambda: sampler.predicted(evaluation, sample, sample, given)

    def run_program(self, stage: str, arrays: Arrays) -> Arrays:
        return self.original.run_program(stage, arrays)

    def sample(
        self,
        stage: str,
        arrays: Arrays,
        noise: np.ndarray,
        on_step: OnStep | None,
        evaluations: int,
        draws: Draws | None,
    ) -> np.ndarray:
        conditions = self.original.conditions(stage, arrays)
        return self.original.samplers[stage].sample(conditions, noise, on_step, evaluations, draws)

    def mesh(self, run: Run, grid: int) -> object:
        return self.original.mesh(run, grid)

    def picture(self, run: Run, size: int) -> object:
        return render_rays(run, view_rays(size))


@dataclass(frozen=True)
class TorchBaseline:
    """A form of the original: its networks wrapped in something."""

    title: str
    wrap: Callable[[Network], Network] | None = None


class InBfloat16(Network):
    """A network in bfloat16, float32 outside; what is not at least a matrix, such as a timestep, stays as it is."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = deepcopy(network).to(torch.bfloat16)

    def forward(self, *args: Any, **named: Any) -> Any:
        args, named = tree_map(_to_bfloat16, (args, named))
        return tree_map(_to_float32, self.network(*args, **named))


BASELINES = {
    "torch": TorchBaseline("PyTorch eager, float32"),
    "torch-bf16": TorchBaseline("PyTorch eager, its network in bfloat16", InBfloat16),
    "torch-compile": TorchBaseline(
        "PyTorch, its network by torch.compile", lambda it: cast(Network, torch.compile(it))
    ),
    "naive": TorchBaseline("PyTorch, its network by torch.onnx.export on ONNX Runtime", PlainExport),
    "openvino": TorchBaseline("PyTorch, its network by OpenVINO's converter, float32", ConvertedByOpenVino),
}


def torch_side(baseline: str, manifest: Manifest, scheduler: str, steps: int, threads: int) -> TorchSide:
    """A baseline of the model that a bundle was made from, with a sampler of its own.

    Raises WeightsError where the weights are not those of the bundle any more, TypeError for a family that does not
    let its network be replaced.
    """
    torch.set_num_threads(threads)
    recipe = Recipe.model_validate(manifest.recipe)

    def plain(own: SamplerSection) -> SamplerSection:
        # Neither the recipe's spacing nor its guidance interval: those are levers that the baseline does not pull.
        kept = own.model_dump(include={"guidance_scale", "clamp"})
        return SamplerSection.model_validate({"scheduler": scheduler, "steps": steps, **kept})

    recipe = recipe.with_samplers(plain)
    original = load_reference(manifest, recipe)
    wrap = BASELINES[baseline].wrap
    return TorchSide(original.with_network(wrap) if wrap else original)


def _to_bfloat16(value: Any) -> Any:
    is_matrix = torch.is_tensor(value) and value.is_floating_point() and value.dim() > 1
    return value.to(torch.bfloat16) if is_matrix else value


def _to_float32(value: Any) -> Any:
    return value.float() if torch.is_tensor(value) and value.is_floating_point() else value
