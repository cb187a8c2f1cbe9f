"""What the judge says of Point-E's small models, and their cards."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from training.config import Config
from training.package import CARD, ZOO
from training.package_point_e import IMAGE, TEXT
from training.scoring.card import percent
from training.scoring.clouds import ROWS, stored_at
from validate.judge.clip import Evaluator
from validate.judge.prompts import shipped_prompts
from validate.judge.rprecision import Retrieval, compare_runs, retrieve
from validate.objects.judged import CaptionSet
from validate.objects.objects import Views

PAIRS = [("text_16", "text_1"), ("image_16", "image_1"), ("text_64", "text_16")]
SHOWN = ("points", "meshes")


class CloudScores:
    """What the judge says of the stored objects."""

    def __init__(self, work: Path, count: int) -> None:
        self.work, self.count = work, count
        self.captions = CaptionSet.embed(shipped_prompts().full, Evaluator.load(ZOO / "shap_e_mini_evaluator"))

    def of(self, name: str, what: str) -> Retrieval | None:
        """Of a row's 'points' or 'meshes'; none where they were not made."""
        path = stored_at(self.work, name, self.count)
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as stored:
            empty = stored["empty"] if what == "meshes" else None
            return retrieve(stored[what], self.captions.embeddings, np.arange(self.count), empty=empty)


def quality_table(scores: CloudScores) -> list[str]:
    among = len(scores.captions.prompts)
    lines = [
        f"| | points: own caption among {among} | mean cosine | mesh: own caption among {among} | mean cosine |",
        "|---|---|---|---|---|",
    ]
    for name, label in ROWS.items():
        points, meshes = (scores.of(name, what) for what in SHOWN)
        if points is not None and meshes is not None:
            cosines = [f"{found.cosine.mean():.3f}" for found in (points, meshes)]
            lines.append(f"| {label} | {percent(points)} | {cosines[0]} | {percent(meshes)} | {cosines[1]} |")
    return lines


def paired_lines(scores: CloudScores) -> list[str]:
    lines = []
    for a, b in PAIRS:
        for what in SHOWN:
            first, second = scores.of(a, what), scores.of(b, what)
            if first is not None and second is not None:
                test = compare_runs(first.hits, second.hits)
                low, high = (100 * bound for bound in (test.difference.low, test.difference.high))
                lines.append(
                    f"- {ROWS[b]} against {ROWS[a]}, {what}: {100 * test.difference.mean:+.1f} points "
                    f"({low:+.1f} to {high:+.1f}), McNemar p = {test.p_value:.2g}"
                )
    return lines


def write_cards(work: Path, count: int) -> None:
    """The card of the text model with every figure, and one of the image model that leads to it."""
    scores, config = CloudScores(work, count), Config().point_e
    sections = [
        CARD_TEXT,
        "## Quality\n",
        f"{count} objects, one for each of the first captions; renders: {Views()}; points are discs of their own "
        "colours, without light; 95 % intervals in brackets. The judge is `shap_e_mini_evaluator`. Printed by "
        f"`python -m training score-point-e --objects {count}`.\n",
        *quality_table(scores),
        "\nPaired tests on the same captions:\n",
        *paired_lines(scores),
        "\n## Training times\n",
        *times(work),
        "\n## Configuration\n\n```json",
        json.dumps(asdict(config), indent=1),
        "```",
    ]
    text = "\n".join(sections) + "\n"
    (ZOO / TEXT / CARD).write_text(text)
    (ZOO / IMAGE / CARD).write_text(IMAGE_TEXT)
    print(text)


def times(work: Path) -> list[str]:
    parts = ("point_e_text", "point_e_upsampler", "point_e_distance", "point_e_image")
    noted = {part: work / f"{part}.seconds" for part in parts}
    lines = [f"| {part} | {float(path.read_text()) / 60:.0f} min |" for part, path in noted.items() if path.exists()]
    return ["| part | wall time |\n|---|---|", *lines]


CARD_TEXT = """---
license: apache-2.0
pipeline_tag: text-to-3d
---

# point-e-mini

Point-E with the classes and the tensor names of OpenAI's files, small: a base model of CLIP's text vector (256 points),
an upsampler (768 more) and the model of signed distances. `point-e-mini-image` has a base model of CLIP's image grid
and shares the rest. A trained instrument for judging exports.

- **Data**: clouds on the surfaces of the procedural objects that `shap-e-mini` learnt from, in their own colours.
- **Conditioned on** the text tower of `shap-e-mini` and the vision tower of `shap-e-mini-image`, as they are.
- **Units** of the published models: coordinates of about ±0.5, colours of 0 to 255; distances are positive inside, and
  true near the surface.
- **Made by** `python -m training point-e`: seeded, resumable, on a part of one CPU core.

## Limits

It was trained for minutes where the published models had days: see the figures. It is for testing toolchains; it says
nothing about the quality of any larger model.
"""
IMAGE_TEXT = """---
license: apache-2.0
pipeline_tag: image-to-3d
---

# point-e-mini-image

`point-e-mini` from a picture: a base model of the grid of CLIP's image tokens, and the vision tower that makes them.
Upsampler and signed distance are `point-e-mini`'s, whose card has the figures of both.
"""
