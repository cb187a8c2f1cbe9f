"""The best of several objects of a prompt, as a CLIP sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exporter.errors import EmptyMesh, RecipeError
from exporter.pipeline.assets import MeshAsset
from exporter.runtime.assets.rasterize import render_mesh
from exporter.runtime.generated import GeneratedObject
from validate.judge.clip import SHIPPED_EVALUATOR, Evaluator
from validate.objects.objects import Views, embed_views


class ClipJudge:
    """Says how well objects show their prompts: the shipped judge, which knows the small models' words alone, or any
    CLIP in the hub's folder layout.

    >>> chairs = bundle.generate("a red chair", seed=range(8))  # doctest: +SKIP
    >>> ClipJudge().best(chairs).save("chair.glb")  # doctest: +SKIP

    A mesh is seen from the sides that `validate` shows a judge, other objects by their pictures. Raises WeightsError
    that names what a folder lacks.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self.evaluator = Evaluator.load(folder or SHIPPED_EVALUATOR)
        self.views = Views()

    def scores(self, objects: Sequence[GeneratedObject]) -> NDArray[np.float64]:
        """The cosine [N] of each object with its own prompt, -1 for one that is empty.

        Raises RecipeError for one that was made of no words.
        """
        for one in objects:
            if "text" not in {source.kind for source in one.run.pipeline.inputs.values()}:
                raise RecipeError(f"{one!r}: it was made of no words that a judge could compare it with")
        texts = self.evaluator.embed_texts([one.prompt for one in objects])
        cosines = [
            -1.0 if one.is_empty else float(embed_views(self.evaluator, self._seen(one)[None])[0] @ text)
            for one, text in zip(objects, texts, strict=True)
        ]
        return np.array(cosines)

    def best(self, objects: Sequence[GeneratedObject]) -> GeneratedObject:
        """The object with the highest score, of equals the first. Raises EmptyMesh where all are empty."""
        scores = self.scores(objects)
        if not len(scores) or all(one.is_empty for one in objects):
            raise EmptyMesh(f"none of {len(objects)} objects has a surface; try other seeds")
        return objects[int(scores.argmax())]

    def _seen(self, one: GeneratedObject) -> NDArray[np.uint8]:
        if one.run.pipeline.asset(MeshAsset) is None:
            return one.picture[None]
        return render_mesh(one.mesh, self.views.azimuths_deg, self.views.elevation_deg, self.views.size)
