"""The few-step students beside the model that they were distilled from, and their model card."""

import json
from dataclasses import asdict
from pathlib import Path

import torch

from exporter.families.shap_e.model import load
from exporter.families.shap_e.shap_e_pipeline import ShapEOriginal
from training.config import Config
from training.originals import original
from training.package import STUDENT, ZOO
from training.scoring.card import Scores, open_table, paired_lines, retrieval_table
from training.scoring.measure import GUIDANCE, OPEN_PROMPTS, OPEN_SEEDS, PROMPTS, SEEDS, Task, reference
from training.trajectories import student_scheduler
from validate.objects.objects import Views

ROWS = {
    "heun_64": "prior, Heun 64 steps, guided",
    "heun_16": "prior, Heun 16 steps, guided",
    "dpmpp_2m_4": "prior, DPM-Solver++ 4 steps, guided",
    "ddim_4": "prior, DDIM 4 steps, guided",
    "student_4": "student, 4 steps",
    "ddim_2": "prior, DDIM 2 steps, guided",
    "student_2": "student, 2 steps",
}
ROWS_AN_OBJECT = {
    "heun_64": 254, "heun_16": 62, "dpmpp_2m_4": 8, "ddim_4": 8, "student_4": 4, "ddim_2": 4, "student_2": 2,
}  # fmt: skip
PAIRS = [
    ("heun_64", "student_4"), ("heun_16", "student_4"), ("dpmpp_2m_4", "student_4"), ("ddim_4", "student_4"),
    ("heun_64", "student_2"), ("heun_16", "student_2"), ("ddim_2", "student_2"),
]  # fmt: skip


def few_steps(scheduler: str, steps: int, guidance: float, weights: Path | None = None) -> ShapEOriginal:
    """The PyTorch original on the students' noise levels, with the prior's own weights or a student's."""
    taught = Config().trajectories
    model = load(taught.teacher)
    model.configs["scheduler"] = dict(student_scheduler(taught.horizon).config)
    made = original(model, scheduler, steps, guidance)
    if weights:
        state = torch.load(weights, weights_only=True, map_location="cpu")
        made.parts.prior().load_state_dict({name: tensor.half() for name, tensor in state.items()})  # as it ships
    return made


def tasks(work: Path) -> list[Task]:
    """Every measurement, the important ones first."""
    kinds = ("full", "held_out", "open")
    rows = [
        Task(student.name, kind, lambda s=student: few_steps("ddim", s.steps, 1.0, work / f"{s.name}.pt"))
        for kind in kinds
        for student in Config().students
    ]
    rows += [Task("heun_16", kind, lambda: reference(16)) for kind in kinds]
    rows += [
        Task(f"{solver}_{n}", kind, lambda s=solver, n=n: few_steps(s, n, GUIDANCE))
        for kind in kinds
        for solver, n in (("dpmpp_2m", 4), ("ddim", 4), ("ddim", 2))
    ]
    return rows + [Task("heun_64", kind, lambda: reference(64)) for kind in kinds]


def write_card(work: Path) -> None:
    scores, config = Scores(work), Config()
    sections = [
        TEXT,
        "## Quality\n",
        f"{PROMPTS} fully specified prompts x {SEEDS} seeds, noise by prompt and seed; renders: {Views()}; 95 % "
        "intervals in brackets. Evaluations are those of the denoiser for one object: guidance takes two at a time. "
        "Printed by `python -m training score-student`.\n",
        *retrieval_table(scores, labelled()),
        f"\nUnder-specified prompts ({OPEN_PROMPTS} prompts x {OPEN_SEEDS} seeds):\n",
        *open_table(scores, labelled()),
        "\nPaired tests on the same prompts and seeds:\n",
        *paired_lines(scores, ROWS, PAIRS),
        "\n## Configuration\n\n```json",
        json.dumps(
            {"trajectories": asdict(config.trajectories), "students": [asdict(s) for s in config.students]}, indent=1
        ),
        "```",
    ]
    text = "\n".join(sections) + "\n"
    (ZOO / STUDENT / "README.md").write_text(text)
    print(text)


def labelled() -> dict[str, str]:
    return {name: f"{label} ({ROWS_AN_OBJECT[name]} rows through the network)" for name, label in ROWS.items()}


TEXT = """---
license: apache-2.0
pipeline_tag: text-to-3d
library_name: diffusers
---

# shap-e-mini-4step

`shap-e-mini` with another prior, distilled to 4 evaluations without guidance; everything but `prior` and `scheduler` is
that model's own. `recipes/shape_e_few.yaml` samples it as it was trained: DDIM, 4 steps, guidance 1.

- **Teacher**: `shap-e-mini`, guidance 3, DPM-Solver++ 2M from sigma 67 downwards, on captions as the prior was trained
  on; the held-out combinations are not among them.
- **Student**: the same architecture, from the teacher's weights. Each step learns the one prediction that takes DDIM's
  update from a point of a teacher's trajectory to the next (progressive distillation in one leap, guidance folded in).
- **Made by** `python -m training student`: seeded, resumable, on one CPU core, from the packaged `shap-e-mini` alone.

## Limits

Guidance is fixed at 3, and the number of steps at 4: it knows no other noise levels. On captions that leave colour or
shape open its objects are less varied, and less often what was asked, than the prior's. It was trained for minutes, not
hours, and its loss was still falling. A student of 2 steps, distilled likewise from the 4-step one, is measured by the
same command and not shipped. All that limits `shap-e-mini` limits it too, and nothing is said about few-step students
of any larger model.
"""
