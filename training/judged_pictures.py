"""The pictures with captions that the quality rung makes objects of: one of each caption that is held out of training,
so that no model has seen the object, nor another of its shape and colours.
"""

import json
from pathlib import Path

import numpy as np

from training.captions import full_caption, split
from training.example_pictures import view
from training.objects import draw
from training.package import ZOO

SIZE = 64
SEED = 41
ELEVATIONS = (0.0, 45.0)  # degrees, which every model that takes pictures has learnt from


def write_judged_pictures(folder: Path = ZOO) -> list[Path]:
    """`pictures.json` and the files that it names; the same bytes every time, for one version of the libraries."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    rng, held = np.random.default_rng(SEED), split()[1]
    entries, paths = [], []
    for i, place in enumerate(rng.permutation(len(held))):
        name, attributes = f"pictures/{i:03}.png", held[place]
        picture = view(draw(rng, attributes), rng.uniform(0, 360), rng.uniform(*ELEVATIONS), SIZE)
        paths.append(folder / name)
        picture.save(paths[-1], optimize=True)
        entries.append({"text": full_caption(attributes), "picture": name})
    (folder / "pictures.json").write_text(json.dumps({"held_out": entries}, indent=1) + "\n")
    return paths
