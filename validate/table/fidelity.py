"""How near to the original a bundle stays on a few prompts: step by step, at the end of sampling, and as a mesh."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from exporter.pipeline.sampling import PREDICTION
from exporter.recipe.recipe import Recipe
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.bundle import Bundle
from exporter.runtime.run import Run
from exporter.runtime.surface.decoded import mesh_of
from exporter.workshop.parity import compare
from validate.ladder.context import Context
from validate.ladder.meshes import chamfer_distance
from validate.ladder.rungs import steps
from validate.table.table_result import Fidelity


class Watch:
    """The original's trajectories and meshes of a context's prompts, and any bundle's beside them."""

    def __init__(self, context: Context, recipe: Recipe) -> None:
        """`recipe`: the original's model and sampler."""
        self.context = context
        self.recipe = recipe

    def fidelity(self, bundle: Bundle) -> Fidelity:
        """The bundle's figures; its samplers have to show their steps (unroll: step)."""
        context = replace(self.context, bundle=bundle)
        snr = self._guided_snr(context) if self._same_sampler(bundle) else []
        made = context.start(bundle).sample()
        pairs = [
            pair for name in made.pipeline.decoded for pair in zip(context.sampled()[name], made[name], strict=True)
        ]
        drift = [compare(*pair).relative_l2 for pair in pairs]
        apart = [chamfer_distance(*pair) for pair in zip(self._meshes, self._decode(made), strict=True)]
        worst, mean = (min(snr), float(np.mean(snr))) if snr else (None, None)
        return Fidelity(worst, mean, float(np.median(drift)), float(np.median(apart)))

    def _same_sampler(self, bundle: Bundle) -> bool:
        """Whether it has evaluations, and they are those of the original, one by one."""
        if not bundle.pipeline.latents:
            return False
        own = Recipe.model_validate(bundle.manifest.recipe)
        return (own.model, own.sampler_data()) == (self.recipe.model, self.recipe.sampler_data())

    def _guided_snr(self, context: Context) -> list[float]:
        """One figure for each evaluation."""
        figures = steps.run(context).figures
        return [figure.value for figure in figures if (figure.tensor, figure.measure) == (PREDICTION, "SNR")]

    @cached_property
    def _meshes(self) -> list[Mesh]:
        return self._decode(self.context.sampled())

    def _decode(self, run: Run) -> list[Mesh]:
        return [mesh_of(one, self.context.grid) for one in run.objects()]
