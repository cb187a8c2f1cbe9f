"""Makes objects with every variant of the model and keeps what the judge saw of them; a stopped run goes on with the
next variant.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from exporter.families.shap_e.model import load
from exporter.families.shap_e.shap_e_pipeline import ShapEOriginal
from exporter.runtime.run import Programs
from training.loop import TrainingReport
from training.originals import original
from training.package import ZOO
from training.scoring.fake_quant import VARIANTS
from training.scoring.truth import DecodedTruth, GroundTruth, load_encoder
from validate.judge.clip import Evaluator
from validate.judge.prompts import Prompt, shipped_prompts
from validate.objects.objects import Objects, make_objects

GUIDANCE = 3.0
PROMPTS, SEEDS = 320, 2
QUANTIZED_PROMPTS = 160
OPEN_PROMPTS, OPEN_SEEDS = 40, 4


@dataclass(frozen=True)
class Task:
    """One row of the model card: `make()` gives the programs, `kind` which prompts it is asked."""

    name: str
    kind: str
    make: Callable[[], Programs]


def prompts_of(kind: str) -> tuple[list[Prompt], int]:
    """The prompts of a kind and how many objects are made of each."""
    shipped = shipped_prompts()
    if kind == "full":
        return list(shipped.full[:PROMPTS]), SEEDS
    if kind == "quantized":
        return list(shipped.full[:QUANTIZED_PROMPTS]), 1
    if kind == "held_out":
        return list(shipped.held_out), 1
    return list(shipped.under_specified[:OPEN_PROMPTS]), OPEN_SEEDS


def reference(steps: int, variant: str | None = None) -> ShapEOriginal:
    """The PyTorch original with Heun's sampler, its prior quantized in simulation if asked."""
    made = original(load("shap-e-mini"), "heun", steps, GUIDANCE)
    if variant:
        VARIANTS[variant](made.parts.prior())
    return made


def tasks(work: Path) -> list[Task]:
    """Every measurement, the important ones first."""
    rows = [Task("truth", kind, lambda k=kind: GroundTruth(prompts_of(k)[0])) for kind in ("full", "open")]
    rows += [
        Task("decoded_truth", kind, lambda k=kind: DecodedTruth(prompts_of(k)[0], load_encoder(work), reference(1)))
        for kind in ("full", "open")
    ]
    rows += [Task(f"heun_{n}", kind, lambda n=n: reference(n)) for n in (16, 1) for kind in ("full", "open")]
    rows += [Task("heun_64", kind, lambda: reference(64)) for kind in ("full", "held_out", "open")]
    rows += [Task("heun_16", "quantized", lambda: reference(16))]
    rows += [Task(f"heun_16_{v}", "quantized", lambda v=v: reference(16, v)) for v in VARIANTS]
    return rows


def measure(work: Path, tasks: list[Task], only: str | None = None, batch: int = 64) -> None:
    """Makes the objects of every task that were not made before; those alone whose file's name contains `only`."""
    folder = work / "scores"
    folder.mkdir(parents=True, exist_ok=True)
    evaluator = Evaluator.load(ZOO / "shap_e_mini_evaluator")
    for task in tasks:
        path = folder / f"{task.name}.{task.kind}.npz"
        if path.exists() or (only and only not in path.name):
            continue
        prompts, seeds = prompts_of(task.kind)
        report = TrainingReport(path.stem, 0, len(prompts) * seeds)
        objects = make_objects(
            task.make(), [p.text for p in prompts], evaluator, seeds=seeds, batch=batch,
            progress=partial(_tell, report),
        )  # fmt: skip
        temporary = path.with_suffix(".partial.npz")
        np.savez(temporary, **asdict(objects))
        temporary.replace(path)


def _tell(report: TrainingReport, what: str, done: int, total: int) -> None:
    report.step(done - 1)


def load_objects(work: Path, name: str, kind: str) -> Objects | None:
    path = work / "scores" / f"{name}.{kind}.npz"
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as stored:
        return Objects(**stored)
