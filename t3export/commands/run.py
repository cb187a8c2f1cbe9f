"""`t3export run`."""

from __future__ import annotations

import math
import reprlib
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import click

from exporter.errors import EmptyMesh, RecipeError, did_you_mean
from exporter.files.atomic import require_writable
from exporter.manifest import bundle_digest
from exporter.pipeline.assets import ImageAsset, MeshAsset, PointsAsset
from exporter.pipeline.pipeline import Pipeline
from exporter.pipeline.sampling import NEGATIVE
from exporter.runtime.assets.label import Label
from exporter.runtime.assets.meshfile import FORMATS, require_mesh_suffix
from exporter.runtime.assets.pictures import picture_size
from exporter.runtime.assets.pointfile import require_points_suffix
from exporter.runtime.batch import made_objects
from exporter.runtime.bundle import NO_WORD_KNOWN, Bundle
from exporter.runtime.inputs.values import (
    LARGEST_GRID,
    LARGEST_SEED,
    QUALITIES,
    SMALLEST_GRID,
    chosen_grid,
    require_prompt,
)
from exporter.runtime.run import Request, requests_of
from exporter.runtime.surface.clearance import SAFETY
from t3export.given_pictures import read_pictures
from t3export.mesh_options import MeshOptions, mesh_options
from t3export.opening import before_opening
from t3export.options import memory_limit_option, stand_in_option
from t3export.output import print_error, print_json, print_note
from t3export.progress import Bar
from t3export.prompts import numbered, prompt_choice, read_prompts
from t3export.written_object import ObjectPaths, Wanted, print_record, write_object

VOLUME = 2
"""Width of the volume that a field fills."""
_SHORT = reprlib.Repr()
_SHORT.maxstring = 200


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--prompt", "prompts", multiple=True, help="What to make; may be repeated.")
@click.option(
    "--prompts",
    "prompt_set",
    metavar="N|FILE",
    help="How many shipped prompts, or a file of your own: .txt with one a line ('# ' begins a comment), or .json.",
)
@click.option(
    "--picture",
    "pictures",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A picture to make it of, where the model takes pictures, '-' for one on standard input; may be repeated.",
)
@click.option(
    "--remove-background",
    is_flag=True,
    help="Cut the object of --picture out of a plain background, by the colour of the picture's border.",
)
@click.option("--negative", help="What the objects are to be unlike, where the recipe has such conditions.")
@click.option("--seed", type=click.IntRange(0, LARGEST_SEED), default=0, show_default=True, help="Seed of the noise.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help=f"Mesh file: {', '.join(FORMATS)}; .png: as --image."
)
@click.option("--points", type=click.Path(path_type=Path), help="The points, of a model that makes some: .ply, .glb.")
@click.option("--turntable", type=click.Path(path_type=Path), help="An animated .gif, once around the object.")
@click.option(
    "--image", type=click.Path(path_type=Path), help="A .png from the bundle's renderer, or of the picture it makes."
)
@click.option("--pixels", type=click.IntRange(8, 2048), help="Width and height of what is rendered.")
@click.option(
    "--grid",
    type=click.IntRange(SMALLEST_GRID, LARGEST_GRID),
    help="Samples of the field per edge, instead of the recipe's.",
)
@click.option(
    "--quality",
    type=click.Choice(list(QUALITIES)),
    help="A grid by name: draft 64, normal 128, fine 256 samples per edge.",
)
@click.option("--exact", is_flag=True, help="Sample every point of the grid, not only those near the surface.")
@click.option("--explain", is_flag=True, help="Say how the surface was found, and what can be missing from it.")
@mesh_options
@memory_limit_option
@stand_in_option
@click.option("--no-verify", is_flag=True, help="Open the bundle without comparing its files with their hashes.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(
    bundle: Path,
    prompts: tuple[str, ...],
    prompt_set: str | None,
    pictures: tuple[Path, ...],
    negative: str | None,
    remove_background: bool,
    seed: int,
    output: Path | None,
    points: Path | None,
    turntable: Path | None,
    image: Path | None,
    pixels: int | None,
    grid: int | None,
    quality: str | None,
    exact: bool,
    explain: bool,
    mesh_file: MeshOptions,
    memory_limit: int | None,
    stand_in: str | None,
    no_verify: bool,
    as_json: bool,
) -> None:
    """Make meshes and pictures of prompts with a BUNDLE. The same prompt and seed give the same mesh.

    A bundle whose model takes a picture gets it by --picture, one that takes nothing needs neither. With several the
    files are numbered: chair.glb becomes chair_0000.glb, chair_0001.glb, … The points of a model that makes no mesh go
    to -o, of one that makes both to --points.

    \b
    Examples:
      t3export run artifacts/shape_e_int8/cpu --prompt "a red chair" -o chair.glb
      t3export run artifacts/shape_e_int8/cpu --prompt "a blue mug" --turntable mug.gif --image mug.png
      t3export run artifacts/shape_e_int8/cpu --prompt "a red chair" --quality fine --texture 2048 -o chair.glb
      t3export run artifacts/shape_e_int8/cpu --prompt "a red chair" --compress -o chair.glb
      t3export run artifacts/shape_e_int8/cpu --prompt "a red chair" --size 80mm --watertight -o chair.3mf
      t3export run artifacts/shape_e_int8/cpu --prompts prompts.txt --seed 7 -o out/object.glb --json
      t3export run artifacts/shape_e_image_int8/cpu --picture mug.png --remove-background -o mug.glb
      draw "a mug" | t3export run artifacts/shape_e_image_int8/cpu --picture - -o mug.glb
      t3export run artifacts/shape_e_int8/orin --on onnxruntime --prompt "a red chair" -o chair.glb
    """
    texts = read_prompts(prompts, prompt_choice(prompt_set)) if prompts or prompt_set is not None else []
    if output and output.suffix.lower() == ".png":
        if image:
            raise click.UsageError(f"-o {output} and --image are two names for one picture: give one of them")
        output, image = None, output
    _check_paths(output, points, turntable, image)
    wanted = Wanted(chosen_grid(grid, quality), exact or None, mesh_file.wanted(output, points), pixels)
    before_opening(bundle, stand_in)
    opened = Bundle.open(bundle, verify=not no_verify, stand_in=stand_in, memory_limit_mb=memory_limit)
    _check_points(opened.pipeline, output, points)
    of_the_surface = {"--grid": grid, "--quality": quality, "--exact": exact, "--explain": explain}
    _check_mesh_options(opened.pipeline, [*mesh_file.of_a_mesh, *(name for name, on in of_the_surface.items() if on)])
    _require_taken(opened.pipeline, texts, pictures, remove_background)
    given = read_pictures(pictures, remove_background)
    for one in given:
        for note in one.notes:
            print_note(f"{one.name}: {note}")
    if given:
        requests: list[Request] = [dict.fromkeys(opened.pipeline.inputs, one.picture) for one in given]
        texts, named = [one.name for one in given], [one.to_dict() for one in given]
    else:
        texts = (texts or read_prompts([], None)) if opened.pipeline.inputs else [""]
        requests, named = requests_of(opened.pipeline, texts), [{"prompt": text} for text in texts]
    several = len(texts) > 1 or prompt_set is not None
    for text in texts:
        for cut_off in opened.cut_off(text):
            print_note(
                f"{_SHORT.repr(text)} is longer than the context of the model; left out, as the reference does: "
                f"{_SHORT.repr(cut_off)}"
            )
        if opened.pipeline.texts and opened.knows_no_word(text):
            print_note(f"{_SHORT.repr(text)}: {NO_WORD_KNOWN}. `t3export inspect {bundle}` shows prompts that work")
    own_picture = opened.pipeline.asset(ImageAsset)
    if image and own_picture:
        picture_size(opened.pipeline, own_picture, pixels)
    if image and not own_picture and opened.pipeline.asset(MeshAsset):
        print_note("this bundle has no renderer: --image is a picture of the mesh")

    for path in filter(None, (output, points, turntable, image)):
        require_writable(path)
    digest = bundle_digest(opened.manifest)
    records = []
    with Bar(quiet=as_json) as progress:
        evaluations = sum(sampling.evaluations for sampling in opened.pipeline.samplings.values())
        sampling = progress.add_task("sampling", total=len(texts) * evaluations)
        writing = progress.add_task("objects", total=len(texts))
        started = time.perf_counter()
        # Every prompt starts from the noise of the seed, so that it gives the same object alone as among others.
        runs = made_objects(
            opened,
            requests,
            [seed] * len(texts),
            lambda moved: progress.advance(sampling, moved),
            _others(opened.pipeline, negative, len(texts)),
        )
        for index, run in enumerate(runs):
            paths = [
                path and (numbered(path, index) if several else path) for path in (output, turntable, image, points)
            ]
            record = named[index] | {"seed": seed, "cut_off": " … ".join(opened.cut_off(texts[index]))}
            label = Label(texts[index], seed, digest)
            record |= write_object(opened, run, ObjectPaths(*paths), wanted, label)
            records.append(record | {"seconds": round(time.perf_counter() - started, 3)})
            started = time.perf_counter()
            progress.advance(writing)
            if record["empty"] and several:
                print_error(f"{_SHORT.repr(texts[index])}, seed {seed}: the field is empty, there is no mesh to write")
            elif not as_json and not record["empty"]:
                print_record(records[-1])
    if as_json:
        print_json({"bundle": str(bundle), "objects": records})
    else:
        _print_certain(records, explain)
    empty = sum(bool(record["empty"]) for record in records)
    if empty and not as_json:
        raise EmptyMesh(
            f"{empty} of {len(records)} {'pictures' if given else 'prompts'} gave an empty field, with no mesh to "
            f"write. Try another --seed or another {'picture' if given else 'wording'}; a bundle of random weights "
            "often has none"
        )
    if empty:
        raise click.exceptions.Exit(EmptyMesh.exit_code)


def _require_taken(pipeline: Pipeline, texts: list[str], pictures: tuple[Path, ...], remove_background: bool) -> None:
    """Raises RecipeError for what the pipeline does not take, and where the picture that it takes is missing."""
    takes = {source.kind for source in pipeline.inputs.values()}
    if texts and "text" not in takes:
        way = (
            "; give --picture photo.png. To go from words to an object, let another program draw them first and pipe "
            "its picture into --picture -"
        )
        raise RecipeError(f"--prompt: this model takes no text, it takes {_listed(takes)}{way if takes else ''}")
    if pictures and "picture" not in takes:
        way = "; give --prompt TEXT, or a bundle of a model that takes pictures, as of recipes/shape_e_image_int8.yaml"
        raise RecipeError(f"--picture: this model takes no picture, it takes {_listed(takes)}{way if takes else ''}")
    if "picture" in takes and not pictures:
        raise RecipeError("no picture: this model takes one, give --picture photo.png")
    if remove_background and not pictures:
        raise RecipeError("--remove-background is for what --picture gives")


def _others(pipeline: Pipeline, negative: str | None, count: int) -> dict[str, list[Request]]:
    """The other sets of conditions of so many objects. Raises RecipeError for one that the bundle does not take."""
    if negative is None:
        return {}
    if NEGATIVE not in pipeline.condition_sets:
        raise RecipeError(
            "--negative: this bundle's sampler was not exported to take one; build it from a recipe with "
            "`sampler: {conditions: {negative: {replaces: none}}}`"
        )
    return {NEGATIVE: requests_of(pipeline, [require_prompt(negative)] * count)}


def _listed(takes: Collection[str]) -> str:
    return " and ".join(f"a {kind}" for kind in sorted(takes)) or "nothing at all"


def _check_points(pipeline: Pipeline, output: Path | None, points: Path | None) -> None:
    """Raises RecipeError for a file of points that the pipeline does not make, or that ends in another way."""
    made = pipeline.asset(PointsAsset)
    if points and made is None:
        raise RecipeError(f"--points {points}: this bundle makes no points; it makes {', '.join(pipeline.assets)}")
    if output and made and pipeline.asset(MeshAsset) is None:
        if points:
            raise RecipeError(f"-o {output}: this bundle makes points and no mesh: give one of -o and --points")
        require_points_suffix(output)


def _check_mesh_options(pipeline: Pipeline, given: list[str]) -> None:
    """Raises RecipeError for options of a mesh where the pipeline makes none."""
    if given and pipeline.asset(MeshAsset) is None:
        raise RecipeError(
            f"{', '.join(given)}: for a mesh, and this bundle makes none; it makes {', '.join(pipeline.assets)}. "
            "Leave out what is for a mesh"
        )


def _check_paths(output: Path | None, points: Path | None, turntable: Path | None, image: Path | None) -> None:
    if not (output or points or turntable or image):
        raise click.UsageError("nothing to write: give -o mesh.glb, --turntable out.gif or --image out.png")
    if output:
        require_mesh_suffix(output)
    if points:
        require_points_suffix(points)
    for path, suffix in ((turntable, ".gif"), (image, ".png")):
        if path and path.suffix.lower() != suffix:
            raise RecipeError(f"{path}: this is written as a {suffix} file; {did_you_mean(path.suffix, [suffix])}")


def _print_certain(records: list[dict[str, Any]], explain: bool) -> None:
    """What may have been missed of a mesh that was not looked for in every point; the reason with `explain`."""
    certain = max((record["sampled"]["certain"] for record in records if "sampled" in record), default=0.0)
    if not certain:
        return
    if not explain:
        print_note(
            "the surface was looked for where it is likely: only parts and holes under "
            f"{math.ceil(100 * certain / VOLUME)} % of the volume's width can be missing. --exact looks everywhere; "
            "--explain says more"
        )
        return
    print_note(
        f"the field was sampled coarsely, then finely wherever its signed distances do not rule out a surface. No part "
        f"and no hole with room for a ball of diameter {certain:.3f} (the volume is {VOLUME} wide) can have "
        f"been missed, whatever the field. A smaller one is missed only where the field is over {SAFETY:g} times as "
        f"steep as all around it, which a signed distance hardly is. --exact samples every point of the grid"
    )
