"""The model card: configuration, timings, measured quality and pictures, all from files that training and scoring
left.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from training.config import Config
from training.package import ZOO
from training.scoring.measure import (
    GUIDANCE,
    OPEN_PROMPTS,
    OPEN_SEEDS,
    PROMPTS,
    QUANTIZED_PROMPTS,
    SEEDS,
    load_objects,
    prompts_of,
)
from validate.judge.clip import Evaluator
from validate.judge.prompts import shipped_prompts
from validate.judge.rprecision import Retrieval, compare_runs, retrieve
from validate.judge.statistics import permutation_test
from validate.objects.judged import CaptionSet, UnderSpecified, measure_under_specified
from validate.objects.objects import Objects, Views

SMALL_SET = 160
ROWS = {
    "truth": "ground-truth objects",
    "decoded_truth": "ground-truth latents, decoded (ceiling)",
    "heun_64": "Heun, 64 steps",
    "heun_16": "Heun, 16 steps",
    "heun_1": "Heun, 1 step",
}
QUANTIZED = {
    "heun_16": "as it is",
    "heun_16_w8a8": "W8A8, per tensor",
    "heun_16_w4": "W4, per channel",
    "heun_16_w3": "W3, per channel",
    "heun_16_w2": "W2, per channel",
}


class Scores:
    """What the stored objects say, judged among the small and the large caption set."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.captions = CaptionSet.embed(shipped_prompts().captions, Evaluator.load(ZOO / "shap_e_mini_evaluator"))

    def retrieval(self, name: str, kind: str, small: bool = False) -> Retrieval | None:
        objects = load_objects(self.work, name, kind)
        if objects is None:
            return None
        own = self.captions.index(prompts_of(kind)[0])[objects.prompt]
        if not small:
            return retrieve(objects.embeddings, self.captions.embeddings, own, empty=objects.empty)
        return join([self._within(objects, own, start) for start in range(0, own.max() + 1, SMALL_SET)])

    def _within(self, objects: Objects, own: np.ndarray, start: int) -> Retrieval:
        """Only the prompts `start` … and only their own captions to choose from."""
        rows = (own >= start) & (own < start + SMALL_SET)
        captions = self.captions.embeddings[start : start + SMALL_SET]
        return retrieve(objects.embeddings[rows], captions, own[rows] - start, empty=objects.empty[rows])

    def under_specified(self, name: str) -> UnderSpecified | None:
        objects = load_objects(self.work, name, "open")
        return objects and measure_under_specified(objects, prompts_of("open")[0], self.captions)


def join(parts: Sequence[Retrieval]) -> Retrieval:
    return Retrieval(
        *(np.concatenate([getattr(part, key) for part in parts]) for key in Retrieval.__dataclass_fields__)
    )


def percent(retrieval: Retrieval | None) -> str:
    if retrieval is None:
        return "–"
    low, high = retrieval.interval.low, retrieval.interval.high
    return f"{100 * retrieval.rate:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def retrieval_table(scores: Scores, rows: dict[str, str]) -> list[str]:
    lines = [
        f"| | R-Precision among {SMALL_SET} | among {len(scores.captions.prompts)} | mean cosine | held-out captions |",
        "|---|---|---|---|---|",
    ]
    for name, label in rows.items():
        large = scores.retrieval(name, "full")
        if large is not None:
            small, held = scores.retrieval(name, "full", small=True), scores.retrieval(name, "held_out")
            lines.append(
                f"| {label} | {percent(small)} | {percent(large)} | {large.cosine.mean():.3f} | {percent(held)} |"
            )
    return lines


def open_table(scores: Scores, rows: dict[str, str]) -> list[str]:
    lines = ["| | diversity | sharpness | best cosine | consistent % |", "|---|---|---|---|---|"]
    for name, label in rows.items():
        found = scores.under_specified(name)
        if found:
            lines.append(
                f"| {label} | {found.diversity.mean():.3f} | {found.sharpness.mean():.2f} "
                f"| {found.best_cosine.mean():.3f} | {100 * found.consistent.mean():.1f} |"
            )
    return lines


def paired_lines(scores: Scores, rows: dict[str, str], pairs: Sequence[tuple[str, str]]) -> list[str]:
    """The paired tests of each second row against its first."""
    lines = []
    for a, b in pairs:
        first, second = scores.retrieval(a, "full"), scores.retrieval(b, "full")
        if first is None or second is None:
            continue
        prompts = load_objects(scores.work, a, "full").prompt.tolist()
        test = compare_runs(first.hits, second.hits, groups=prompts)
        line = f"- {rows[b]} against {rows[a]}: {100 * test.difference.mean:+.1f} points among all captions "
        line += (
            f"({100 * test.difference.low:+.1f} to {100 * test.difference.high:+.1f}), McNemar p = {test.p_value:.2g}"
        )
        one, two = scores.under_specified(a), scores.under_specified(b)
        if one and two:
            groups = {"diversity": None, "sharpness": one.prompt.tolist(), "best_cosine": one.prompt.tolist()}
            measures = {
                key: permutation_test(getattr(one, key), getattr(two, key), groups=group)
                for key, group in groups.items()
            }
            line += "; " + ", ".join(f"{key} p = {p:.2g}" for key, p in measures.items())
        lines.append(line)
    return lines


def quantized_table(scores: Scores) -> list[str]:
    """Simulated quantization of all the prior's linear layers, each paired with the model as it is."""
    plain = scores.retrieval("heun_16", "quantized")
    if plain is None:
        return []
    lines = [
        f"\nSimulated quantization ({QUANTIZED_PROMPTS} prompts, Heun 16):\n",
        f"| prior's linear layers | R-Precision among {SMALL_SET} | among {len(scores.captions.prompts)} | mean cosine "
        "| McNemar p |",
        "|---|---|---|---|---|",
    ]
    for name, label in QUANTIZED.items():
        found = scores.retrieval(name, "quantized")
        if found is not None:
            small = scores.retrieval(name, "quantized", small=True)
            p_value = (
                "–" if found is plain or name == "heun_16" else f"{compare_runs(plain.hits, found.hits).p_value:.2g}"
            )
            lines.append(f"| {label} | {percent(small)} | {percent(found)} | {found.cosine.mean():.3f} | {p_value} |")
    return lines


def timings(work: Path) -> list[str]:
    parts = [(path.stem, float(path.read_text())) for path in sorted(work.glob("*.seconds"))]
    return [f"| {name} | {seconds / 60:.0f} min |" for name, seconds in parts]


def configuration() -> str:
    return json.dumps(asdict(Config()), indent=1)


def write_card(work: Path) -> None:
    scores = Scores(work)
    sections = [
        TEXT,
        "## Quality\n",
        f"{PROMPTS} fully specified prompts x {SEEDS} seeds, guidance {GUIDANCE:g}; renders: {Views()}; "
        "95 % intervals in brackets. "
        "The judge is the evaluator that ships beside the model and that the generator never saw. "
        "Printed by `python -m training score`.\n",
        *retrieval_table(scores, ROWS),
        f"\nUnder-specified prompts ({OPEN_PROMPTS} prompts x {OPEN_SEEDS} seeds):\n",
        *open_table(scores, ROWS),
        "\nPaired tests on the same prompts and seeds:\n",
        *paired_lines(scores, ROWS, [("heun_16", "heun_1"), ("heun_64", "heun_16")]),
        *quantized_table(scores),
        "\n## Training times\n",
        "| part | wall time |\n|---|---|",
        *timings(work),
        "\n## Configuration\n\n```json",
        configuration(),
        "```",
    ]
    text = "\n".join(sections) + "\n"
    (ZOO / "shap_e_mini" / "README.md").write_text(text)
    (ZOO / "shap_e_mini_evaluator" / "README.md").write_text(judge_card(scores))
    print(text)


def judge_card(scores: Scores) -> str:
    """What the judge finds when it is shown ground-truth objects."""
    small, large = (percent(scores.retrieval("truth", "full", small=small)) for small in (True, False))
    captions = len(scores.captions.prompts)
    return f"{JUDGE_TEXT}\nGround-truth objects, R-Precision: {small} among {SMALL_SET}, {large} among {captions}.\n"


JUDGE_TEXT = """---
license: apache-2.0
library_name: transformers
---

# shap-e-mini-evaluator

The CLIP that judges what `shap-e-mini` makes. The generator never saw it, and it has another width and another seed
than the CLIP that conditions the generator. It learnt from sphere-traced pictures of the same
procedural objects (`training/clip.py`); captions held out of the generator's training are held out of the judge's too.
"""

TEXT = """---
license: apache-2.0
pipeline_tag: text-to-3d
library_name: diffusers
---

# shap-e-mini

A small text-to-3D model of exactly the classes of `openai/shap-e` in diffusers: a trained instrument for judging
exports. `ShapEPipeline.from_pretrained` loads this folder.

- **Data**: procedural objects of 25 shapes in 8 colours, plain, tall, flat or small, 15 of the shapes also two-toned,
  each with random yaw, scale, proportions and hue; analytic signed distances. About half of the captions leave colour
  or shape open. 160 combinations of attributes are held out of all training.
- **Parts**: latents of 64 x 32 from an encoder of the objects' parameters (not shipped) trained together with the
  renderer; a CLIP whose text tower conditions the prior; the prior, with 10 % dropout of the prompt for
  classifier-free guidance. When the prior was done, an encoder was matched to it and to the renderer, and the prior
  learnt on from that one's latents, at noise levels at which it is decided how an object is turned (`python -m training
  refine`): before, chairs came out without a back.
- **Judge**: `shap_e_mini_evaluator`, another CLIP of another width and seed.
- **Made by** `make train-mini`: seeded, resumable, on two CPU cores.

![24 prompts](../../../docs/images/shap_e_mini.png)

## Limits

It knows 25 shapes and 8 colours and nothing else; words outside its grammar are tokenised but mean nothing to it. Thin
parts (legs of small tables, the rim of an umbrella) can break, a rocket's three fins come out as a ring, small parts
can take the body's colour, and a caption that leaves the colour open sometimes gets a mixture. From the
highest noise it wants 12 Heun steps or more: with 8, most objects are not what was asked, with 8 from sigma 50
(`sampler.highest_noise`) they are. It is for testing toolchains; it says nothing about the quality of any larger model.

The first 5150 steps of the prior ran under a longer cosine (of 20 000 steps) than the configuration below says, and
before the 5000 steps of its refinement came 8000 at the noise levels of the first training; everything else is as
written there. It was trained in bfloat16 where a processor with AMX multiplies faster in it, and
shared two cores with other work, so the times are longer than on a quiet machine.
"""
