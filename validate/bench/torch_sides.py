"""The PyTorch reference as a side: as it is, in bfloat16, compiled, and with the plain export of its network."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import torch
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from exporter.families.family import Reference
from exporter.machine.quiet import quiet
from exporter.machine.timing import Action
from exporter.manifest import Manifest
from exporter.recipe.recipe import Recipe
from exporter.runtime.assets.pictures import view_rays
from exporter.runtime.generator import decode_context, render_rays
from exporter.runtime.inputs.noise import noise
from validate.bench.laps import Laps
from validate.bench.sides import DIFFUSION, MESH, PROJECTOR, RENDER, TEXT, MadeObject, Work
from validate.objects.reference import load_reference

Network = torch.nn.Module


class TorchSide:
    """The reference of a family, on threads that are PyTorch's own (torch.set_num_threads)."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference

    @property
    def evaluations(self) -> int:
        return len(self.reference.sampler.evaluations())

    def open(self) -> None:
        self.reference.load()

    def step(self, prompt: str) -> Action:
        reference = self.reference
        sampler = reference.sampler
        evaluations = sampler.evaluations()
        evaluation = next((one for one in evaluations if one.guided), evaluations[0])
        sample = torch.from_numpy(noise(0, (1, *reference.latent_shape)))
        embedding = torch.from_numpy(reference.encode([prompt]))
        return lambda: sampler.predicted(evaluation, sample, sample, [embedding])

    def make(self, work: Work, evaluations: int | None = None, latents: np.ndarray | None = None) -> MadeObject:
        reference, laps = self.reference, Laps()
        with laps(TEXT):
            embedding = reference.encode([work.prompt])
        unit = noise(0, (1, *reference.latent_shape))
        with laps(DIFFUSION):
            found = reference.sample(embedding, unit, evaluations=evaluations)
        laps.seconds[DIFFUSION] *= self.evaluations / (evaluations or self.evaluations)
        found = found if latents is None else latents
        with laps(PROJECTOR):
            context = decode_context(reference, found)
        with laps(MESH):
            reference.mesh(context, work.grid)
        if work.picture:
            with laps(RENDER):
                render_rays(reference, context, view_rays(work.picture))
        return MadeObject(laps.seconds, found, laps.seconds[DIFFUSION] / self.evaluations)


@dataclass(frozen=True)
class TorchBaseline:
    """A form of the reference: its network wrapped in something."""

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


class PlainExport(Network):
    """A network exported by torch.onnx.export with nothing said, on ONNX Runtime with nothing said, at first use."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self._folder = TemporaryDirectory(prefix="t3export-plain-")
        self._session: Any = None

    def forward(self, *args: Any, **named: Any) -> Any:
        if self._session is None:
            self._export(args, named)
        tensors, _ = tree_flatten((args, named))
        inputs = {value.name: tensor.numpy() for value, tensor in zip(self._session.get_inputs(), tensors, strict=True)}
        return tree_unflatten([torch.from_numpy(array) for array in self._session.run(None, inputs)], self._outputs)

    def _export(self, args: Any, named: Any) -> None:
        import onnxruntime

        program = Path(self._folder.name) / "program.onnx"
        with torch.inference_mode(False), torch.no_grad(), quiet("torch.onnx", "torch.export", "onnxscript", "onnx_ir"):
            args, named = tree_map(lambda x: x.clone() if torch.is_tensor(x) else x, (args, named))
            torch.onnx.export(self.network, args, program, kwargs=named, external_data=True, verbose=False)
            _, self._outputs = tree_flatten(self.network(*args, **named))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(program), options)


BASELINES = {
    "torch": TorchBaseline("PyTorch eager, float32"),
    "torch-bf16": TorchBaseline("PyTorch eager, its denoiser in bfloat16", InBfloat16),
    "torch-compile": TorchBaseline(
        "PyTorch, its denoiser by torch.compile", lambda it: cast(Network, torch.compile(it))
    ),
    "naive": TorchBaseline("PyTorch, its denoiser by torch.onnx.export on ONNX Runtime", PlainExport),
}


def torch_side(baseline: str, manifest: Manifest, scheduler: str, steps: int, threads: int) -> TorchSide:
    """A baseline of the model that a bundle was made from, with a sampler of its own.

    Raises WeightsError where the weights are not those of the bundle any more, TypeError for a family that does not
    let its network be replaced.
    """
    torch.set_num_threads(threads)
    recipe = Recipe.model_validate(manifest.recipe)
    own = recipe.sampler
    # Neither the recipe's spacing nor its guidance interval: those are levers that the baseline does not pull.
    sampler = {"scheduler": scheduler, "steps": steps, "guidance_scale": own.guidance_scale, "clamp": own.clamp}
    recipe = Recipe.model_validate(recipe.data() | {"sampler": sampler})
    reference = cast(Reference, load_reference(manifest, recipe))
    wrap = BASELINES[baseline].wrap
    return TorchSide(reference.with_network(wrap) if wrap else reference)


def _to_bfloat16(value: Any) -> Any:
    is_matrix = torch.is_tensor(value) and value.is_floating_point() and value.dim() > 1
    return value.to(torch.bfloat16) if is_matrix else value


def _to_float32(value: Any) -> Any:
    return value.float() if torch.is_tensor(value) and value.is_floating_point() else value
