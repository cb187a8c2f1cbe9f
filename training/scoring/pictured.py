"""The model that takes a picture beside the one that takes words: the same objects, the same judge; and its model card.

An object is drawn for each of the first captions and seen from one side. The image model gets that picture, the text
model the caption. The judge looks for each made object's caption among all captions, and for its picture among all
pictures.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from exporter.families.shap_e.image.image_model import load as load_image
from exporter.families.shap_e.latent_model import LatentModel
from exporter.families.shap_e.model import load
from exporter.families.shap_e.shap_e_pipeline import LatentOriginal
from exporter.recipe.recipe_file import load_recipe
from exporter.recipe.sampler_section import SamplerSection
from exporter.runtime.run import Programs, make, requests_of
from training.config import Config
from training.example_pictures import view
from training.latents import Encoder
from training.loop import TrainingReport
from training.objects import Object
from training.originals import RECIPE
from training.package import IMAGE, ZOO
from training.scoring.card import percent
from training.scoring.measure import GUIDANCE
from training.scoring.truth import DecodedTruth, GroundTruth, load_encoder
from validate.judge.clip import Evaluator
from validate.judge.prompts import Prompt, shipped_prompts
from validate.judge.rprecision import Retrieval, compare_runs, retrieve
from validate.objects.judged import CaptionSet
from validate.objects.objects import Objects, Views, make_objects

COUNT, SEED, PIXELS = 160, 31, 96
ROUNDS = 5
ROWS = {
    "truth": "ground-truth objects",
    "decoded": "ground-truth latents, decoded (ceiling)",
    "image_64": "from the picture, Heun, 64 steps",
    "image_16": "from the picture, Heun, 16 steps",
    "image_1": "from the picture, Heun, 1 step",
    "text_16": "shap-e-mini, from the caption, Heun, 16 steps",
}
PAIRS = [("image_16", "image_1"), ("image_64", "image_16"), ("text_16", "image_16"), ("decoded", "image_16")]


class Pictured(GroundTruth):
    """Objects that were drawn before, one for each prompt."""

    def __init__(self, prompts: list[Prompt], drawn: list[Object]) -> None:
        super().__init__(prompts)
        self.drawn = drawn

    def draw(self, numbers: np.ndarray, noise: np.ndarray) -> list[Object]:
        return [self.drawn[int(row[0])] for row in numbers]


class PicturedLatents(DecodedTruth):
    """The same through the latent encoder and the model's decoder."""

    def __init__(self, prompts: list[Prompt], drawn: list[Object], encoder: Encoder, decoder: LatentOriginal) -> None:
        super().__init__(prompts, encoder, decoder)
        self.drawn = drawn

    draw = Pictured.draw


def prompts() -> list[Prompt]:
    return list(shipped_prompts().full[:COUNT])


def drawn_objects() -> list[Object]:
    """An object that fits each prompt; the same ones every time."""
    truth, noise = GroundTruth(prompts()), np.random.default_rng(SEED).standard_normal((COUNT, 1)).astype(np.float32)
    return truth.draw(np.arange(COUNT)[:, None], noise)


def pictures(work: Path) -> list[Path]:
    """A picture of each, from a random side, on white; drawn once."""
    folder, rng = work / "pictured", np.random.default_rng(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    low, high = Config().data.elevation
    paths = []
    for i, one in enumerate(drawn_objects()):
        azimuth, elevation = rng.uniform(0, 360), rng.uniform(low, high)
        paths.append(folder / f"{i:03}.png")
        if not paths[-1].exists():
            view(one, azimuth, elevation, PIXELS).save(paths[-1])
    return paths


def original(model: LatentModel, steps: int) -> LatentOriginal:
    sampler = SamplerSection(scheduler="heun", steps=steps, guidance_scale=GUIDANCE)
    return model.original(load_recipe(RECIPE).model_copy(update={"sampler": sampler}))


def rows(work: Path) -> dict[str, tuple[Callable[[], Programs], list[str]]]:
    """By name what makes the objects, and of what; the important ones first."""
    captions, seen = [prompt.text for prompt in prompts()], [str(path) for path in pictures(work)]
    drawn = drawn_objects()

    def image(steps: int) -> Callable[[], Programs]:
        return lambda: original(load_image("shap-e-mini-image"), steps)

    def decoded() -> Programs:
        return PicturedLatents(prompts(), drawn, load_encoder(work), original(load("shap-e-mini"), 1))

    return {
        "truth": (lambda: Pictured(prompts(), drawn), captions),
        "decoded": (decoded, captions),
        "text_16": (lambda: original(load("shap-e-mini"), 16), captions),
        "image_16": (image(16), seen),
        "image_1": (image(1), seen),
        "image_64": (image(64), seen),
    }


def measure(work: Path, only: str | None = None, batch: int = 32) -> None:
    """Makes the objects of every row that were not made before."""
    folder = work / "scores"
    folder.mkdir(parents=True, exist_ok=True)
    evaluator = Evaluator.load(ZOO / "shap_e_mini_evaluator")
    for name, (programs, asked) in rows(work).items():
        path = folder / f"pictured.{name}.npz"
        if path.exists() or (only and only not in name):
            continue
        report = TrainingReport(path.stem, 0, len(asked))
        objects = make_objects(
            programs(), asked, evaluator, batch=batch, progress=lambda what, done, total, r=report: r.step(done - 1)
        )
        temporary = path.with_suffix(".partial.npz")
        np.savez(temporary, **asdict(objects))
        temporary.replace(path)


def stored(work: Path, name: str) -> Objects | None:
    path = work / "scores" / f"pictured.{name}.npz"
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as found:
        return Objects(**found)


class PicturedScores:
    """What the judge says of the stored objects."""

    def __init__(self, work: Path) -> None:
        evaluator = Evaluator.load(ZOO / "shap_e_mini_evaluator")
        self.work, self.captions = work, CaptionSet.embed(prompts(), evaluator)
        seen = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in pictures(work)])
        self.seen: NDArray[np.float32] = evaluator.embed_images(seen)

    def of_captions(self, name: str) -> Retrieval | None:
        objects = stored(self.work, name)
        return objects and retrieve(objects.embeddings, self.captions.embeddings, objects.prompt, empty=objects.empty)

    def of_pictures(self, name: str) -> Retrieval | None:
        objects = stored(self.work, name)
        return objects and retrieve(objects.embeddings, self.seen, objects.prompt, empty=objects.empty)


def quality_table(scores: PicturedScores) -> list[str]:
    lines = [
        f"| | own caption among {COUNT} | mean cosine | own picture among {COUNT} | mean cosine |",
        "|---|---|---|---|---|",
    ]
    for name, label in ROWS.items():
        captions, seen = scores.of_captions(name), scores.of_pictures(name)
        if captions is not None and seen is not None:
            lines.append(
                f"| {label} | {percent(captions)} | {captions.cosine.mean():.3f} | {percent(seen)} "
                f"| {seen.cosine.mean():.3f} |"
            )
    return lines


def paired_lines(scores: PicturedScores) -> list[str]:
    lines = []
    for a, b in PAIRS:
        for what, of in (("captions", scores.of_captions), ("pictures", scores.of_pictures)):
            first, second = of(a), of(b)
            if first is not None and second is not None:
                test = compare_runs(first.hits, second.hits)
                lines.append(
                    f"- {ROWS[b]} against {ROWS[a]}, {what}: {100 * test.difference.mean:+.1f} points "
                    f"({100 * test.difference.low:+.1f} to {100 * test.difference.high:+.1f}), McNemar "
                    f"p = {test.p_value:.2g}"
                )
    return lines


def time_table(work: Path) -> list[str]:
    """Seconds of each stage for one object, both models side by side in each round; the medians and their ratio. The
    processor's time, of one thread: what else a machine does is no part of it."""
    torch.set_num_threads(1)
    sides = {
        "text": (original(load("shap-e-mini"), 16), prompts()[0].text),
        "picture": (original(load_image("shap-e-mini-image"), 16), str(pictures(work)[0])),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(ROUNDS + 1):
        for name, (programs, asked) in sides.items():
            began = time.process_time()
            run = make(programs, requests_of(programs.pipeline, [asked]), [0])
            (condition,) = programs.pipeline.stages["denoiser"].takes
            run[condition.name]
            encoded = time.process_time()
            run.sample()
            taken[name].append((encoded - began, time.process_time() - encoded))
    seconds = {name: np.median(np.array(rounds[1:]), axis=0) for name, rounds in taken.items()}
    ratio = np.median([b[1] / a[1] for a, b in zip(taken["text"][1:], taken["picture"][1:], strict=True)])
    lines = ["| one object, one thread, PyTorch, processor time | input and encoder | 16 Heun steps |", "|---|---|---|"]
    lines += [
        f"| from a {name} | {encode * 1e3:.0f} ms | {sample:.2f} s |" for name, (encode, sample) in seconds.items()
    ]
    return [
        *lines,
        f"\nSampling from a picture takes {ratio:.2f} times as long (median of {ROUNDS} rounds side by side).",
    ]


def write_card(work: Path) -> None:
    scores, config = PicturedScores(work), Config().image
    parts = ("matched_encoder", "matched_tower", "image_prior")
    noted = {part: work / f"{part}.seconds" for part in parts}
    sections = [
        TEXT,
        "## Quality\n",
        f"{COUNT} objects, drawn to fit the first captions and seen once from a random side ({PIXELS} px, white); one "
        f"object made of each, guidance {GUIDANCE:g}; renders: {Views()}; 95 % intervals in brackets. The judge is "
        "`shap_e_mini_evaluator`. Printed by `python -m training score-image`.\n",
        *quality_table(scores),
        "\nPaired tests on the same objects:\n",
        *paired_lines(scores),
        "\n## Time\n",
        *time_table(work),
        "\n## Training times\n",
        "| part | wall time |\n|---|---|",
        *(f"| {part} | {float(path.read_text()) / 60:.0f} min |" for part, path in noted.items() if path.exists()),
        "\n## Configuration\n\n```json",
        json.dumps(asdict(config), indent=1),
        "```",
    ]
    text = "\n".join(sections) + "\n"
    (ZOO / IMAGE / "README.md").write_text(text)
    print(text)


TEXT = """---
license: apache-2.0
pipeline_tag: image-to-3d
library_name: diffusers
---

# shap-e-mini-image

`shap-e-mini` from a picture, of exactly the classes of `openai/shap-e-img2img` in diffusers: an image encoder, its
preprocessing and a prior of its own; renderer and scheduler are `shap-e-mini`'s. A trained instrument for judging
exports.

- **Data**: procedural objects as `shap-e-mini` learnt from, each seen once from a random side under the fixed lamp,
  half on white, half on one plain colour; latents from an encoder that was fitted to the packaged renderer and prior.
- **Parts**: a vision tower that first learnt to match the packaged text tower, then on with the prior; a prior of five
  of the text prior's eight layers, conditioned on the tower's 36 patch tokens, with 10 % dropout of the picture for
  classifier-free guidance.
- **Made by** `python -m training image`: seeded, resumable, on one CPU core, from the packaged `shap-e-mini` alone.

## Limits

A picture says nothing of how the object is turned about its axis, and the model makes it at any turn. It knows the
camera of its training: one object in the middle, from 10 degrees below to 60 above, on a plain background. On
photographs it makes one of the 25 shapes that it knows. What the judge takes for another object is most often wrong in
the colour of its part, or in its shape; thin parts break. It is for testing toolchains; it says nothing about the
quality of any larger model.
"""
