"""What a person looks at: the same prompts and seeds made by the reference and by the bundle, as models and renders."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exporter.errors import BundleError
from exporter.files.atomic import write_atomically
from exporter.pipeline.assets import ImageAsset
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.pictures import picture_of
from exporter.runtime.run import Programs, Run
from exporter.runtime.surface.decoded import mesh_of
from validate.judge.prompts import Prompt
from validate.objects.objects import Progress, object_seed, sample_objects

FILE = "objects.npz"
COUNT = 12
GRID = 48
RENDER_SIZE = 64
_INDEX = "index"


@dataclass(frozen=True)
class MadeExhibit:
    """One side of an exhibit. `render` uint8 [h, w, 3]: the picture that the model makes, none for one without."""

    mesh: Mesh
    render: NDArray[np.uint8] | None


@dataclass(frozen=True)
class Exhibit:
    """One prompt and seed, made twice from the same noise."""

    prompt: str
    seed: int
    reference: MadeExhibit
    bundle: MadeExhibit


def spread(total: int, count: int) -> list[int]:
    """Places of `count` prompts evenly over `total`: chosen by their number, never by how they look."""
    return sorted({round(place) for place in np.linspace(0, total - 1, min(count, total)).tolist()})


def make_exhibits(
    reference: Programs,
    bundle: Programs,
    prompts: Sequence[Prompt],
    *,
    count: int = COUNT,
    progress: Progress | None = None,
) -> list[Exhibit]:
    """Make objects of `count` of the prompts on both sides, each from the seed that the quality rung gives it first."""
    chosen = spread(len(prompts), count)
    wanted, seeds = [prompts[index] for index in chosen], [object_seed(index, 0) for index in chosen]
    given, texts = [prompt.given for prompt in wanted], [prompt.text for prompt in wanted]
    sides: list[list[MadeExhibit]] = []
    for label, programs in (("reference", reference), ("bundle", bundle)):
        made = []
        for run in sample_objects(programs, given, seeds):
            made.append(_made(run))
            if progress:
                progress(f"{label} models to look at", len(made), len(texts))
        sides.append(made)
    return [Exhibit(*found) for found in zip(texts, seeds, *sides, strict=True)]


def save_exhibits(exhibits: Sequence[Exhibit], path: Path) -> None:
    """Write exhibits as one `.npz` file, whole or not at all."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for number, exhibit in enumerate(exhibits):
        for side in ("reference", "bundle"):
            made: MadeExhibit = getattr(exhibit, side)
            for name in ("vertices", "faces", "colors"):
                arrays[f"{number}/{side}/{name}"] = getattr(made.mesh, name)
            if made.render is not None:
                arrays[f"{number}/{side}/render"] = made.render
    index = json.dumps([{"prompt": exhibit.prompt, "seed": exhibit.seed} for exhibit in exhibits])
    written = io.BytesIO()
    np.savez_compressed(written, allow_pickle=False, **{_INDEX: np.array(index)}, **arrays)
    write_atomically(path, written.getvalue())


def load_exhibits(path: Path) -> list[Exhibit]:
    """The exhibits of a file; none where there is no file. Raises BundleError for a damaged one."""
    if not path.is_file():
        return []
    try:
        with np.load(path, allow_pickle=False) as file:
            entries = json.loads(str(file[_INDEX]))
            return [
                Exhibit(entry["prompt"], entry["seed"], *(_read(file, number, s) for s in ("reference", "bundle")))
                for number, entry in enumerate(entries)
            ]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path}: cannot be read ({error}); validate the bundle again") from None


def _made(run: Run) -> MadeExhibit:
    asset = run.pipeline.asset(ImageAsset)
    picture = picture_of(run, None if asset.pixels else RENDER_SIZE) if asset else None
    return MadeExhibit(mesh_of(run, GRID), picture)


def _read(file: np.lib.npyio.NpzFile, number: int, side: str) -> MadeExhibit:
    mesh = Mesh(*(file[f"{number}/{side}/{name}"] for name in ("vertices", "faces", "colors")))
    render = f"{number}/{side}/render"
    return MadeExhibit(mesh, file[render] if render in file.files else None)
