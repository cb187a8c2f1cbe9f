"""What an app needs beside the programs: a page of instructions, and vectors to hold its tokenizer and noise to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import Any

from exporter.files.atomic import write_atomically
from exporter.pipeline.assets import ImageAsset, PointsAsset
from exporter.pipeline.sampling import name_of
from exporter.pipeline.tensor import TensorSpec
from exporter.runtime.inputs.tokenizer import PromptTokenizer
from exporter.runtime.run import unit_noise
from exporter.workshop.workshop import Workshop

FOLDER = "device"
PAGE = Path(__file__).with_name("device.md")
NOISE_PAGE = Path(__file__).with_name("device_noise.md")
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

RUNNERS = (
    "`device/test_cases/*.bpte` hold each program with its goldens for ExecuTorch's own runners (`example_runner "
    "--bundled_program_path …`), and `device/test_cases/tolerances.json` the tolerances that it has to keep."
)
TOKENS = (
    "Token ids int64 [1, {length}] of `{name}`: `{file}` (in Hugging Face's `tokenizers` format), cut to {length} with "
    "the end token kept, filled up with {pad}. Not every tokenizer of a kind gives the same ids for numbers, spaces "
    "and accents: check yours against `device/tokens.json`."
)
PICTURE = (
    "Picture float32 [1, 3, {size}, {size}] of `{name}`, red first: {cut}; {sized} ({resampling}, on {resized_as}); "
    "then (byte / 255 - mean) / std with mean {mean} and std {std}."
)
OVER = "what is transparent over the sRGB background {background}"
FRAMED = (
    "without transparency, what reaches in from the border and is no farther than {tolerance} from the border's median "
    "in any channel made transparent; then what is not transparent cut out without its last row and column and brought "
    "into the middle of a square, of whose edge its longer one takes {share:g}, over grey {background:g}, each time "
    "rounded down"
)
BOTH_EDGES = "both edges resized to {size}"
SHORTER_EDGE = "the shorter edge resized to {shorter}, the middle {size} × {size} cut out"
NOISE = "Noise {shape} of a seed, stream {stream}, draw 0, multiplied by init_noise_sigma ({sigma:.9g}): below."
HOST_LOOP = (
    "`{stage}/program.pte`, {evaluations} times with step = 0, 1, … (its method `evaluations` gives that number): "
    "next_sample is the next sample; sample and prediction go into the next call as previous_sample and "
    "previous_prediction, zeros at first.{churn} Guidance and the scheduler's table (`samplers/{stage}.json`) are "
    "inside. The last next_sample is {latents}."
)
WHOLE = (
    "`{stage}/program.pte`, once: it holds all {evaluations} evaluations, with guidance and the scheduler's table."
    "{churn}"
)
CHURN = " Its input noise is draw 1 + step of the same seed and stream."
OTHER = " {names}: what it is conditioned on besides, {absent} where there is nothing."
ALL_CHURN = " Its input noise holds draws 1 to {evaluations} of the same seed and stream."
ONCE = "`{stage}/program.pte`: {takes} to {makes}."
FIELD = (
    "`{stage}/program.pte`: points in [-{half_width:g}, {half_width:g}]³ to {distance} (positive inside) and {color}. "
    "Evaluate it on a grid of {grid}³ points and take its zero surface by marching cubes; every fourth point first, "
    "and then the points near a change of sign, are far fewer. Colours are the field's at the vertices."
)
PICTURE_MADE = "{tensor} {shape} is the picture: sRGB, red first, {black:g} is black and {white:g} is white."
CLOUD = "The object is the points `{positions}` in [-{half_width:g}, {half_width:g}]³, z up{colors}."
POINT_COLORS = ", of the sRGB colours `{colors}` from {low:g} to {high:g}"
RENDERER = "`{stage}/program.pte` draws rays (origin, direction) without a mesh."


def write_device_files(workshop: Workshop, folder: Path) -> None:
    """Write `device/README.md` into a bundle's folder, `device/tokens.json` where its pipeline takes texts and
    `device/noise.json` where it samples."""
    write_atomically(folder / FOLDER / "README.md", _page(workshop).encode())
    if workshop.pipeline.texts:
        write_atomically(folder / FOLDER / "tokens.json", _json(_tokens(workshop)))
    if workshop.pipeline.of_kind("sample"):
        write_atomically(folder / FOLDER / "noise.json", _json(_noise(workshop)))


def _page(workshop: Workshop) -> str:
    steps = [f"{number}. {step}" for number, step in enumerate(_steps(workshop), start=1)]
    return Template(PAGE.read_text(encoding="utf-8")).substitute(
        name=workshop.recipe.name,
        version=version("executorch"),
        steps="\n".join(steps),
        noise=NOISE_PAGE.read_text(encoding="utf-8") if workshop.pipeline.of_kind("sample") else "",
        test_cases=RUNNERS if workshop.target.executorch.test_cases else "",
    )


def _steps(workshop: Workshop) -> Iterator[str]:
    """What an app does, one sentence or two a step."""
    pipeline, recipe = workshop.pipeline, workshop.recipe
    for name, source in pipeline.texts.items():
        yield TOKENS.format(name=name, file=source.file, length=source.length, pad=source.pad_id)
    for name, picture in pipeline.pictures.items():
        sized = SHORTER_EDGE if picture.shorter_edge else BOTH_EDGES
        told = picture.model_dump(include={"size", "resampling", "resized_as", "mean", "std"})
        framing = picture.framing
        yield PICTURE.format(
            name=name,
            cut=FRAMED.format(**framing.model_dump()) if framing else OVER.format(background=list(picture.background)),
            sized=sized.format(size=picture.size, shorter=picture.shorter_edge),
            **_as_lists(told),
        )
    for name, stage in pipeline.stages.items():
        if stage.kind == "sample":
            table, latents = workshop.tables[name], stage.makes[0]
            stream = pipeline.of_kind("sample").index(name)
            shape = [1, *latents.shape[1:]]
            yield NOISE.format(shape=shape, stream=stream, sigma=table.init_noise_sigma)
            loop, churn = (HOST_LOOP, CHURN) if recipe.sampler_of(name).unroll == "step" else (WHOLE, ALL_CHURN)
            fresh = churn.format(evaluations=table.evaluations) if table.has_churn else ""
            for other, schedule in recipe.sampler_of(name).conditions.items():
                absent = "zeros" if schedule.replaces == "none" else "the prompt's own"
                fresh += OTHER.format(names=", ".join(name_of(other, spec.name) for spec in stage.takes), absent=absent)
            yield loop.format(stage=name, evaluations=table.evaluations, latents=latents.name, churn=fresh)
        elif stage.volume:
            volume = stage.volume
            yield FIELD.format(
                stage=name,
                distance=volume.distance,
                color=volume.color,
                grid=recipe.mesh.grid,
                half_width=volume.half_width,
            )
        elif stage.kind == "render":
            yield RENDERER.format(stage=name)
        else:
            yield ONCE.format(stage=name, takes=_names(stage.takes), makes=_names(stage.makes))
    image = pipeline.asset(ImageAsset)
    if image and image.pixels:
        made = next(spec for spec in pipeline.stages[image.stage].makes if spec.name == image.pixels.name)
        black, white = image.pixels.range
        yield PICTURE_MADE.format(tensor=made.name, shape=[1, *made.shape[1:]], black=black, white=white)
    if points := pipeline.asset(PointsAsset):
        low, high = points.color_range
        colors = POINT_COLORS.format(colors=points.colors, low=low, high=high) if points.colors else ""
        yield CLOUD.format(positions=points.positions, half_width=points.half_width, colors=colors)


def _as_lists(told: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}


def _names(specs: Sequence[TensorSpec]) -> str:
    """The names of tensors; of many the first and how many more."""
    shown = ", ".join(spec.name for spec in specs[:3])
    return f"{shown} and {len(specs) - 3} more" if len(specs) > 3 else shown


def _tokens(workshop: Workshop) -> dict[str, list[dict[str, Any]]]:
    """By input, prompts with their ids."""
    prompts = [*workshop.recipe.goldens.prompts, *PROMPTS, TOO_LONG]
    files = workshop.model.input_files()
    found = {}
    for name, source in workshop.pipeline.texts.items():
        rows = PromptTokenizer(files[source.file], source.length, source.pad_id, source.clean).encode(prompts)
        found[name] = [{"prompt": prompt, "ids": row.tolist()} for prompt, row in zip(prompts, rows, strict=True)]
    return found


def _noise(workshop: Workshop) -> list[dict[str, Any]]:
    """By stage of kind sample, the first numbers of a few seeds, as float32 in full, and of a later draw where the
    sampler has churn."""
    pipeline = workshop.pipeline
    found = []
    for stream, stage in enumerate(pipeline.of_kind("sample")):
        shape = pipeline.stages[stage].makes[0].shape[1:]
        later = [(1, 3)] if workshop.tables[stage].has_churn else []
        for seed, draw in [(0, 0), (1, 0), (2**63, 0), *later]:
            numbers = unit_noise([seed], shape, stream, draw).ravel()[:NUMBERS_SHOWN].tolist()
            of = {"stage": stage, "seed": seed, "stream": stream, "draw": draw}
            found.append(of | {"shape": [1, *shape], "first": numbers})
    return found


def _json(data: Any) -> bytes:
    return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode()
