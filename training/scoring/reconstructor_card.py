"""The model card of TripoSR's small model: how near it comes to held-out objects, and what the judge sees in them."""

import json
from dataclasses import asdict

from exporter.families.registry import load_model
from exporter.recipe.recipe_file import load_recipe
from training.config import Config
from training.loop import TrainingReport
from training.package import CARD, RECONSTRUCTOR, ZOO
from training.scoring.card import percent
from training.scoring.reconstruction import GRID, NEAR, RECIPE, Reconstructions
from training.scoring.truth import GroundTruth
from validate.judge.clip import Evaluator
from validate.judge.prompts import shipped_prompts
from validate.judge.rprecision import Retrieval
from validate.judge.wanted import wanted_objects
from validate.objects.judged import CaptionSet, retrieve_captions
from validate.objects.objects import Views, make_objects

BATCH = 16


def judged(weights: str, count: int) -> dict[str, tuple[Retrieval, Retrieval]]:
    """By row, what the judge says of the objects of the first shipped pictures: their captions among those of all
    shipped pictures, and among all captions. The ground truth is another object of each caption."""
    original = load_model("triposr", weights).original(load_recipe(RECIPE))
    wanted = wanted_objects(original.pipeline, count)
    known = {prompt.text: prompt for prompt in shipped_prompts().held_out}
    named = [known[prompt.text] for prompt in wanted.prompts]
    evaluator = Evaluator.load(ZOO / "shap_e_mini_evaluator")
    everything = CaptionSet.embed(wanted.captions, evaluator)
    sides = {
        "ground-truth objects of the same captions": (GroundTruth(named), [prompt.text for prompt in named]),
        f"{weights}, from the picture": (original, [prompt.given for prompt in wanted.prompts]),
    }
    rows = {}
    for label, (programs, given) in sides.items():
        report = TrainingReport(label, 0, len(given))
        objects = make_objects(
            programs, given, evaluator, batch=BATCH, progress=lambda what, done, total, r=report: r.step(done - 1)
        )
        small, large = (
            retrieve_captions(objects, wanted.prompts, captions)
            for captions in (everything.first(len(known)), everything)
        )
        rows[label] = small, large
    return rows


def judged_table(rows: dict[str, tuple[Retrieval, Retrieval]]) -> list[str]:
    """As Markdown."""
    counts = [len(found.ranks) for found, _ in rows.values()]
    lines = [
        f"| {counts[0]} held-out objects | R-Precision among held-out captions | among all | mean cosine |",
        "|---|---|---|---|",
    ]
    for label, (small, large) in rows.items():
        lines.append(f"| {label} | {percent(small)} | {percent(large)} | {small.cosine.mean():.3f} |")
    return lines


def card(near: Reconstructions, rows: dict[str, tuple[Retrieval, Retrieval]]) -> str:
    """The model card."""
    sections = [
        TEXT,
        "## Quality\n",
        f"Combinations of shape and colours that are held out of training. Volume IoU on {GRID}³ and Chamfer distance "
        f"in the volume from -1 to 1; colours in sRGB, within {NEAR} of the true surface. Renders for the judge, "
        f"`shap_e_mini_evaluator`: {Views()}; 95 % intervals in brackets. Printed by "
        "`python -m training score-reconstructor`.\n",
        near.table(),
        "",
        *judged_table(rows),
        "\n## Configuration\n\n```json",
        json.dumps({"views": asdict(Config().views), "model": asdict(Config().reconstructor)}, indent=1),
        "```",
    ]
    return "\n".join(sections) + "\n"


def write_card(near: Reconstructions, rows: dict[str, tuple[Retrieval, Retrieval]]) -> None:
    """Beside the packaged weights."""
    (ZOO / RECONSTRUCTOR / CARD).write_text(card(near, rows), encoding="utf-8")


TEXT = """---
license: apache-2.0
pipeline_tag: image-to-3d
---

# triposr-mini

TripoSR's classes, small: a vision tower, a triplane transformer and a point network, from a picture to a density and
colours in one forward. A trained instrument for judging exports, in the layout of the release (`config.yaml`, and
`model.safetensors` with the names of its `model.ckpt`).

- **Data**: procedural objects as `shap-e-mini` learnt from, two pictures of each from random sides between 5 degrees
  below and 45 above, framed as the release frames them: 85 % of the picture, on grey. Points are in the frame of the
  picture's camera.
- **Loss**: the logarithm of the density falls evenly through the true surface (binary cross-entropy of inside and
  outside), and the colours about it. Nothing is rendered.
- **Made by** `python -m training reconstructor`: seeded, resumable, on one CPU core.

## Limits

It learnt from scratch for 5,000 steps on a fraction of one core, and its loss was still falling: two of five objects
are what the picture shows. Colours and heights are the picture's; what stands out to a side, such as a chair's back,
legs and handles, is mostly missing, and bodies are round. Its planes have 16 squares to an edge. The first 500 steps or
so ran under a shorter cosine, of 2,000 steps. It is for testing toolchains, and says nothing about the quality of the
release.
"""
