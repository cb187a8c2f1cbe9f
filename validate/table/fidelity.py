"""How near to the original a bundle stays on a few prompts: step by step, at the end of sampling, and as a mesh."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from exporter.recipe.recipe import Recipe
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.bundle import Bundle
from exporter.runtime.generator import Generator, decode_mesh
from exporter.workshop.parity import compare
from validate.ladder.context import Context
from validate.ladder.meshes import chamfer_distance
from validate.ladder.rungs.steps import TeacherForcing
from validate.table.table_result import Fidelity


class Watch:
    """The original's trajectories and meshes of a context's prompts, and any bundle's beside them."""

    def __init__(self, context: Context, recipe: Recipe) -> None:
        """`recipe`: the original's model and sampler."""
        self.context = context
        self.recipe = recipe

    def fidelity(self, bundle: Bundle) -> Fidelity:
        """The bundle's figures; it has to have a denoiser program of its own (unroll: step)."""
        context = replace(
            self.context, bundle=bundle, run_stage=lambda stage, arrays: bundle.session(stage).run(arrays)
        )
        snr = self._guided_snr(context) if self._same_sampler(bundle) else []
        latents = bundle.sample(bundle.encode(context.prompts), context.noise)
        drift = [compare(*pair).relative_l2 for pair in zip(context.sample_reference(), latents, strict=True)]
        apart = [chamfer_distance(*pair) for pair in zip(self._meshes, self._decode(bundle, latents), strict=True)]
        worst, mean = (min(snr), float(np.mean(snr))) if snr else (None, None)
        return Fidelity(worst, mean, float(np.median(drift)), float(np.median(apart)))

    def _same_sampler(self, bundle: Bundle) -> bool:
        """Whether its evaluations are those of the original, one by one."""
        own = Recipe.model_validate(bundle.manifest.recipe)
        return (own.model, own.sampler) == (self.recipe.model, self.recipe.sampler)

    def _guided_snr(self, context: Context) -> list[float]:
        """One figure for each evaluation."""
        observer = TeacherForcing(context)
        context.sample_reference(observer)
        guided = [figure for figure in observer.figures if (figure.tensor, figure.measure) == ("prediction", "SNR")]
        return [figure.value for figure in guided]

    @cached_property
    def _meshes(self) -> list[Mesh]:
        return self._decode(self.context.reference, self.context.sample_reference())

    def _decode(self, side: Generator, latents: np.ndarray) -> list[Mesh]:
        return [decode_mesh(side, latents[i : i + 1], self.context.grid) for i in range(len(latents))]
