"""What an app needs beside the programs: a page of instructions, and vectors to hold its tokenizer and noise to."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import Any

from exporter.files.atomic import write_atomically
from exporter.runtime.inputs.noise import noise
from exporter.runtime.inputs.tokenizer import PromptTokenizer
from exporter.workshop.workshop import Workshop

FOLDER = "device"
PAGE = Path(__file__).with_name("device.md")
# What tokenizers of CLIP's kind were seen to disagree on: case, spaces, digits, marks, accents, and a prompt too long.
PROMPTS = (
    "",
    "A Red CHAIR",
    "a  chair ,\ta table\n",
    "3 mugs in 2024",
    "a chair!!! (blue)",
    "une chaise très élégante",
)
TOO_LONG = " ".join(["a tall red chair"] * 40)
NUMBERS_SHOWN = 16

HOST_LOOP = (
    "`denoiser/program.pte`, $evaluations times with step = 0, 1, … (its method `evaluations` gives that number): "
    "next_sample is the next sample; sample and prediction go into the next call as previous_sample and "
    "previous_prediction, zeros at first. Guidance and the scheduler's table (`sampler.json`) are inside. The last "
    "next_sample are the latents."
)
RUNNERS = (
    "`device/test_cases/*.bpte` hold each program with its goldens for ExecuTorch's own runners (`example_runner "
    "--bundled_program_path …`), and `device/test_cases/tolerances.json` the tolerances that it has to keep."
)
UNROLLED = (
    "`sampler/program.pte`, once: it holds all $evaluations evaluations, with guidance and the scheduler's table."
)


def write_device_files(workshop: Workshop, folder: Path) -> None:
    """Write `device/README.md`, `device/tokens.json` and `device/noise.json` into a bundle's folder."""
    write_atomically(folder / FOLDER / "README.md", _page(workshop).encode())
    write_atomically(folder / FOLDER / "tokens.json", _json(_tokens(workshop)))
    write_atomically(folder / FOLDER / "noise.json", _json(_noise(workshop.model.latent_shape)))


def _page(workshop: Workshop) -> str:
    recipe, model, table = workshop.recipe, workshop.model, workshop.table
    loop = HOST_LOOP if recipe.sampler.unroll == "step" else UNROLLED
    tokens, channels = model.latent_shape
    return Template(PAGE.read_text(encoding="utf-8")).substitute(
        name=recipe.name,
        version=version("executorch"),
        context=model.tokenizer.context_length,
        pad=model.tokenizer.pad_id,
        embedding=model.embedding_width,
        tokens=tokens,
        channels=channels,
        sigma=f"{table.init_noise_sigma:.9g}",
        loop=Template(loop).substitute(evaluations=table.evaluations),
        grid=recipe.mesh.grid,
        test_cases=RUNNERS if workshop.target.executorch.test_cases else "",
    )


def _tokens(workshop: Workshop) -> list[dict[str, Any]]:
    shipped = workshop.model.tokenizer
    prompts = [*workshop.recipe.goldens.prompts, *PROMPTS, TOO_LONG]
    rows = PromptTokenizer(shipped.json, shipped.context_length, shipped.pad_id).encode(prompts)
    return [{"prompt": prompt, "ids": row.tolist()} for prompt, row in zip(prompts, rows, strict=True)]


def _noise(shape: tuple[int, int]) -> list[dict[str, Any]]:
    """The first numbers of a few seeds, as float32 in full."""
    return [
        {"seed": seed, "shape": [1, *shape], "first": noise(seed, (1, *shape)).ravel()[:NUMBERS_SHOWN].tolist()}
        for seed in (0, 1, 2**63)
    ]


def _json(data: Any) -> bytes:
    return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode()
