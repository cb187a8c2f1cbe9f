"""`t3export inspect`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
from rich.markup import escape

from exporter.manifest import EnginesPart, Manifest, bundle_digest, manifest_schema, require_whole
from exporter.pipeline.assets import Asset, MeshAsset, PointsAsset
from exporter.pipeline.inputs import PictureInput, TextInput
from exporter.pipeline.pipeline import Pipeline
from exporter.pipeline.sampling import Sampling
from exporter.pipeline.tensor import TensorSpec
from exporter.runtime.assets.optional import is_installed
from exporter.runtime.assets.pictures import picture_size
from exporter.runtime.inputs.tokenizer import PromptTokenizer
from t3export.opening import note_beside
from t3export.output import megabytes, print_json, results, table

# A small model's vocabulary is shown whole.
FEW_WORDS = 100
EXAMPLES = 2


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option("--schema", is_flag=True, help="The JSON schema of manifest.json instead.")
@click.option("--json", "as_json", is_flag=True, help="The manifest as one JSON document on stdout.")
def command(bundle: Path | None, schema: bool, as_json: bool) -> None:
    """Show what is in a BUNDLE, after comparing every file with its hash. Exit code 4 for a damaged one.

    \b
    Examples:
      t3export inspect artifacts/shape_e_int8/cpu
      t3export inspect artifacts/shape_e_int8/cpu --json
      t3export inspect --schema > docs/manifest.schema.json
    """
    if schema:
        print_json(manifest_schema())
        return
    if bundle is None:
        raise click.UsageError("name a BUNDLE folder, or ask for --schema")
    manifest = require_whole(bundle)
    note_beside(bundle, manifest)
    if as_json:
        print_json(manifest.model_dump(mode="json") | {"digest": bundle_digest(manifest)})
    else:
        _print_overview(bundle, manifest)


def _print_overview(folder: Path, manifest: Manifest) -> None:
    console = results()
    facts = table("bundle", escape(manifest.name))
    weights = manifest.weights
    trained = "" if weights.trained else "  [yellow]random weights: good for shapes, speed and parity only[/]"
    facts.add_row("digest", bundle_digest(manifest))
    facts.add_row("recipe", f"{escape(str(manifest.recipe.get('name')))}  {manifest.recipe_digest[:16]}")
    facts.add_row("weights", f"{escape(weights.source)}  {weights.digest[:16]}{trained}")
    for file in weights.files:
        if not file.name.endswith((".json", ".txt", ".yaml")):
            facts.add_row("", escape(f"{file.part}: {file.name}, {megabytes(file.size)}, sha256 {file.sha256[:16]}"))
    facts.add_row("target", escape(f"{manifest.target['name']}: {manifest.target['description']}"))
    for name, source in manifest.inputs.items():
        much = f"{source.length} tokens" if source.kind == "text" else f"{source.size} pixels"
        facts.add_row("input", f"{escape(name)}: {source.kind}, {much}")
        if known := _known_words(folder, source):
            facts.add_row("", escape(f"its words: {', '.join(known)}"))
    for name, sampling in manifest.samplings.items():
        facts.add_row("sampler", f"{escape(name)}: {_sampling(sampling)}")
    for name, asset in manifest.assets.items():
        facts.add_row("makes", f"{escape(name)}: {_asset(manifest, asset)}")
    facts.add_row("toolchain", escape(", ".join(f"{k} {v}" for k, v in sorted(manifest.toolchain.items()))))
    size = sum(part.size for part in manifest.files.values())
    facts.add_row("files", f"{len(manifest.files)} files, {megabytes(size)}, [green]every hash verified[/]")
    facts.add_row("validation", _verdict(manifest))
    if manifest.engines:
        facts.add_row("engines", _engines(manifest.engines))
    for example in _examples(folder, manifest):
        facts.add_row("try", escape(example))
    console.print(facts)
    stages = table("\nstage", "\nkind", "\nprecision", "\nsize", "\ninputs", "\noutputs")
    for name, stage in manifest.stages.items():
        stages.add_row(
            name,
            stage.kind,
            stage.precision,
            megabytes(stage.size),
            _tensors(stage.inputs),
            _tensors(stage.outputs),
        )
    console.print(stages)


def _known_words(folder: Path, source: TextInput | PictureInput) -> list[str]:
    """The words of a tokenizer that has few; a large one has hardly a word of English that it does not know."""
    if source.kind != "text" or not is_installed("tokenizers"):
        return []
    words = PromptTokenizer((folder / source.file).read_bytes(), source.length, source.pad_id).words
    return words if len(words) <= FEW_WORDS else []


def _examples(folder: Path, manifest: Manifest) -> list[str]:
    """Command lines that make something, of prompts that the build itself was compared by."""
    file = "points.ply" if manifest.asset(MeshAsset) is None and manifest.asset(PointsAsset) else "object.glb"
    out = f"-o {file}" if manifest.asset(MeshAsset) or manifest.asset(PointsAsset) else "--image picture.png"
    given = [""]
    if manifest.texts:
        prompts = manifest.recipe.get("goldens", {}).get("prompts", [])
        given = [f"--prompt {shlex.quote(prompt)}" for prompt in prompts[:EXAMPLES]]
    elif manifest.pictures:
        given = ["--picture photo.png"]
    return [" ".join(filter(None, ["t3export run", shlex.quote(str(folder)), one, out])) for one in given]


def _sampling(sampling: Sampling) -> str:
    low, high = sampling.guidance_interval or (None, None)
    begin = "" if sampling.highest_noise is None else f" from noise level {sampling.highest_noise:g}"
    end = "" if sampling.lowest_noise is None else f" to noise level {sampling.lowest_noise:g}"
    where = "" if low is None else f" from noise level {high:g} to {low:g}"
    churn = f", churn {sampling.churn.s_churn:g}" if sampling.churn else ""
    return (
        f"{sampling.scheduler}, {sampling.steps} steps{begin}{end}{churn}, {sampling.evaluations} evaluations, "
        f"guidance {sampling.guidance_scale:g}{where}, clamp {sampling.clamp}, unroll {sampling.unroll}"
    )


def _asset(pipeline: Pipeline, asset: Asset) -> str:
    if isinstance(asset, MeshAsset):
        as_openai = ", by OpenAI's conventions" if asset.conventions == "openai" else ""
        return f"of {asset.stage}, grid {asset.grid}, {asset.extraction}{as_openai}"
    if isinstance(asset, PointsAsset):
        return f"of {asset.positions}" + (f", coloured by {asset.colors}" if asset.colors else "")
    if asset.pixels:
        height, width = picture_size(pipeline, asset)
        return f"{escape(asset.pixels.name)} of {asset.stage}, {width} x {height} pixels"
    return f"of {asset.stage}, {asset.size} pixels"


def _verdict(manifest: Manifest) -> str:
    verdict = manifest.validation
    if verdict is None:
        return "not validated yet"
    if verdict.bundle_digest != bundle_digest(manifest):
        return "[yellow]of another build: validate it again[/]"
    failed = [rung.name for rung in verdict.rungs if not rung.passed]
    told = "[green]passed[/]" if verdict.passed else f"[red]failed[/]: {escape(', '.join(failed))}"
    return f"{told}\n{escape(verdict.stand_in)}" if verdict.stand_in else told


def _engines(engines: EnginesPart) -> str:
    if engines.state != "built":
        return f"[yellow]{engines.state}[/]: {escape(' or '.join(f'`{command}`' for command in engines.run))}"
    times = ", ".join(f"{name} {part.milliseconds:.2f} ms" for name, part in engines.stages.items())
    device = engines.device
    name = device.get("board", f"a GPU of compute capability {device.get('compute_capability')}")
    return escape(f"built on {name} with TensorRT {device.get('tensorrt')}: {times}")


def _tensors(tensors: list[TensorSpec]) -> str:
    return "\n".join(escape(f"{t.name} {t.dtype} {list(t.shape)}".replace("'", "")) for t in tensors)
