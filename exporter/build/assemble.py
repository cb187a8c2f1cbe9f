"""The folder of a bundle put together from what the steps made, and its manifest."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from exporter.backends.backend import Addition, MadeProgram
from exporter.families.family import Model
from exporter.files.atomic import write_atomically
from exporter.files.cache import Entry
from exporter.files.toolchain import versions
from exporter.machine.describe import describe
from exporter.manifest import Manifest, StagePart, WeightsFilePart, WeightsPart, list_files
from exporter.pipeline.sampling import Sampling
from exporter.recipe.fit import fitted_data
from exporter.runtime.measure import measure
from exporter.targets.stand_in import runs_here, stand_in
from exporter.workshop.cleaning_tables import write_cleaning
from exporter.workshop.goldens import GOLDENS, GoldenParity, golden_pictures, goldens_of
from exporter.workshop.measured import Measured, held, write_measured
from exporter.workshop.workshop import Workshop

TABLES = "samplers"
# The package that runs a backend's programs on this machine, where it is not ONNX Runtime.
RUNTIMES = {"executorch": "executorch", "openvino": "openvino"}
# How time and memory are measured on a target that is elsewhere.
MEASURED_BY = {"tensorrt": "`t3export finish .` in this folder", "onnxruntime": "`t3export build`"}


def write_files(workshop: Workshop, folder: Path, goldens: Entry, made: list[MadeProgram]) -> None:
    """Everything but the manifest."""
    for name, content in workshop.model.input_files().items():
        write_atomically(folder / name, content)
    for source in workshop.pipeline.texts.values():
        write_cleaning(folder, source)
    for stage, table in workshop.tables.items():
        write_atomically(folder / _table_path(stage), table.to_json().encode())
    (folder / GOLDENS).mkdir()
    for path in sorted(goldens.folder.glob("*.npz")):
        shutil.copyfile(path, folder / GOLDENS / path.name)
    for name, path in _pictures(workshop).items():
        shutil.copyfile(path, folder / name)
    for one in made:
        (folder / one.name).mkdir()
        for file in one.program.files(one.entry.folder):
            shutil.copyfile(one.entry.folder / file, folder / one.name / file)


def make_manifest(workshop: Workshop, folder: Path, made: list[MadeProgram], addition: Addition) -> Manifest:
    """What is in the folder, what it was made from, and the digests of all of it."""
    recipe, model, pipeline = workshop.recipe, workshop.model, workshop.pipeline
    files = list_files(folder)
    stages = {}
    for one in made:
        own = [file for file in files if file.startswith(f"{one.name}/")]
        stages[one.name] = StagePart(
            program=one.main,
            external_data=[file for file in own if file != one.main],
            kind=pipeline.stages[one.name].kind,
            inputs=one.program.inputs(one.entry.folder),
            outputs=one.program.outputs(one.entry.folder),
            sampling=_sampling(workshop, one.name),
            volume=pipeline.stages[one.name].volume,
            conditions=recipe.sampler_of(one.name).conditions if one.name in workshop.tables else {},
            precision=one.program.precision(one.entry.folder),
            layers={y.name: y.precision for y in one.program.layers(one.entry.folder) if y.precision != "fp32"},
            size=sum(files[file].size for file in own),
        )
    return Manifest(
        name=f"{recipe.name}/{workshop.target.name}",
        recipe=_recipe_data(workshop),
        recipe_digest=recipe.digest,
        weights=_weights(model),
        target=workshop.target.model_dump(mode="json"),
        toolchain=versions(),
        files=files,
        stages=stages,
        inputs=pipeline.inputs,
        assets=pipeline.assets,
        goldens={one.name: [f"{GOLDENS}/{path.name}" for path in goldens_of(folder, one.name)] for one in made},
        engines=addition.engines,
    )


def _weights(model: Model) -> WeightsPart:
    files = [WeightsFilePart(**vars(file)) for file in model.weights_files]
    return WeightsPart(source=model.weights_source, digest=model.weights_digest, trained=model.trained, files=files)


def _pictures(workshop: Workshop) -> dict[str, Path]:
    return golden_pictures(workshop.pipeline, workshop.recipe.goldens, workshop.recipe.folder)


def _recipe_data(workshop: Workshop) -> dict[str, Any]:
    """The resolved recipe; its pictures are those in the bundle."""
    data = fitted_data(workshop.recipe, workshop.pipeline)
    pictures = list(_pictures(workshop))
    return data | ({"goldens": data["goldens"] | {"prompts": pictures}} if pictures else {})


def _sampling(workshop: Workshop, stage: str) -> Sampling | None:
    if stage not in workshop.tables:
        return None
    table = workshop.tables[stage]
    return Sampling(
        **workshop.recipe.sampler_of(stage).model_dump(exclude={"conditions"}),
        evaluations=table.evaluations,
        init_noise_sigma=table.init_noise_sigma,
        latents=workshop.pipeline.stages[stage].makes[0],
        table=_table_path(stage),
    )


def _table_path(stage: str) -> str:
    return f"{TABLES}/{stage}.json"


def add_figures(
    workshop: Workshop,
    folder: Path,
    manifest: Manifest,
    made: list[MadeProgram],
    parities: list[GoldenParity],
    built: Measured | None,
) -> Manifest:
    """perf.yaml and numerics.yaml, as far as the build machine can tell; the manifest that names them.

    `built`: the figures of engines that were built here.
    """
    missing = _missing(workshop, manifest)
    found = built or Measured(_where(workshop, manifest))
    if not missing and built is None:
        costs = measure(folder)
        found = replace(found, costs=costs["stages"], overall={"peak_bytes": costs["peak_bytes"]})
    contents = {one.name: one.program.contents(one.entry.folder) for one in made}
    return write_measured(folder, manifest, contents, [replace(found, parities=held(parities))], missing)


def _where(workshop: Workshop, manifest: Manifest) -> dict[str, str]:
    """The machine, what ran the programs on it, and in whose place where that is not the target."""
    target = workshop.target
    package = RUNTIMES.get(target.backend, "onnxruntime")
    ran = describe() | {package: manifest.toolchain.get(package, "unknown")}
    if manifest.engines and manifest.engines.state != "built":
        return ran | {"stand_in": "ONNX Runtime on the graphs that the engines are to be built from"}
    return ran | ({"stand_in": told} if (told := stand_in(target)) else {})


def _missing(workshop: Workshop, manifest: Manifest) -> str:
    """What only the target itself can tell, and how; empty where this machine is the target."""
    target, engines = workshop.target, manifest.engines
    if engines.state == "built" if engines else runs_here(target):
        return ""
    where = ", ".join(need.name for need in target.needs if need.kind == "device") or target.processor
    how = MEASURED_BY.get(target.backend, "to be measured by the app")
    return f"time and memory on the target itself ({where}): {how}, there"
