"""One described stage brought into a bundle: both programs in place, and what the manifest says of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from exporter.adopt.described import Described
from exporter.adopt.description import AdoptedSampling
from exporter.adopt.ports import Port, Size, ports_of
from exporter.adopt.scheduler_table import probed_table, read_table
from exporter.adopt.take_program import NoSuchPort, take_program
from exporter.errors import BundleError, RecipeError
from exporter.files.atomic import write_atomically
from exporter.graphs.program_files import PROGRAM
from exporter.manifest import ProgramPart, StagePart
from exporter.pipeline.inputs import PictureInput, TextInput
from exporter.pipeline.sampling import (
    FROM_HOST,
    NEXT_SAMPLE,
    NOISE,
    PREDICTION,
    PREVIOUS_PREDICTION,
    PREVIOUS_SAMPLE,
    SAMPLE,
    STEP,
    Sampling,
    name_of,
)
from exporter.pipeline.tensor import BATCH, POINTS, RAYS, TensorSpec
from exporter.sampling.table import CoefficientTable

FLOAT = "float"
TABLES = "samplers"
# The word for the second size of what is evaluated at many places.
PLACES = {"field": POINTS, "render": RAYS}
Origin = Literal["program", "float_program"]


def take_stage(described: Described, name: str, folder: Path) -> StagePart:
    """Both programs of a stage into a bundle's folder, and its sampler's table. Raises RecipeError that names the field
    that is wrong."""
    stage = described.content.stages[name]
    program = _taken(described, name, "program", folder / name)
    reference = _taken(described, name, "float_program", folder / FLOAT / name)
    inputs, outputs = _specs(described, name, program, "program")
    others = _specs(described, name, reference, "float_program")
    if others != (inputs, outputs):
        raise described.wrong(
            f"its ports are not those of {stage.program}: {_told(*others)} "
            f"beside {_told(inputs, outputs)}",
            "stages", name, "float_program",
        )  # fmt: skip
    return StagePart(
        kind=stage.kind,
        inputs=inputs,
        outputs=outputs,
        sampling=_sampling(described, name, inputs, outputs, folder) if stage.sampling else None,
        volume=stage.volume,
        conditions=stage.sampling.conditions if stage.sampling else {},
        precision=stage.precision,
        size=sum(file.stat().st_size for file in program.parent.iterdir()),
        **_part(program, folder).model_dump(),
        float_program=_part(reference, folder),
    )


def _taken(described: Described, name: str, field: Origin, folder: Path) -> Path:
    stage = described.content.stages[name]
    source = described.file(getattr(stage, field), "stages", name, field)
    try:
        return take_program(source, folder, stage.ports)
    except BundleError as error:
        # What the deployed program has is right, so that the float file is not of the same stage.
        at = ("ports", error.tensor) if isinstance(error, NoSuchPort) and field == "program" else (field,)
        raise described.wrong(str(error), "stages", name, *at) from None


def _part(program: Path, folder: Path) -> ProgramPart:
    beside = sorted(file for file in program.parent.iterdir() if file.name != PROGRAM)
    main, *others = (file.relative_to(folder).as_posix() for file in (program, *beside))
    return ProgramPart(program=main, external_data=others)


def _specs(described: Described, name: str, program: Path, field: Origin) -> tuple[list[TensorSpec], list[TensorSpec]]:
    try:
        inputs, outputs = ports_of(program)
    except BundleError as error:
        raise described.wrong(str(error), "stages", name, field) from None
    first, second = ([_spec(described, name, port) for port in side] for side in (inputs, outputs))
    return first, second


def _spec(described: Described, name: str, port: Port) -> TensorSpec:
    sizes = [_size(described, name, port, i, size) for i, size in enumerate(port.shape)]
    return TensorSpec(port.name, port.dtype, tuple(sizes))


def _size(described: Described, name: str, port: Port, index: int, size: Size) -> int | str:
    stage = described.content.stages[name]
    if index == 0:
        if isinstance(size, int):
            raise described.wrong(
                f"'{port.name}' holds {size} objects and no other number; export the program with an open first size",
                "stages", name, "program",
            )  # fmt: skip
        return BATCH
    if isinstance(size, int):
        return size
    if size in stage.sizes:
        return stage.sizes[size]
    if index == 1 and stage.kind in PLACES:
        return PLACES[stage.kind]
    for source in described.content.inputs.values():
        if source.tensor == port.name and isinstance(source, PictureInput):
            return (BATCH, 3, source.size, source.size)[index]
        if source.tensor == port.name and isinstance(source, TextInput) and index == 1:
            return source.length
    raise described.wrong(
        f"the program leaves size {index} of '{port.name}' open ({size or 'without a word for it'}): write what it is "
        f"here, as in `sizes: {{{size or 'WORD'}: 77}}`",
        "stages", name, "sizes",
    )  # fmt: skip


def _sampling(
    described: Described, name: str, inputs: list[TensorSpec], outputs: list[TensorSpec], folder: Path
) -> Sampling:
    given = described.content.stages[name].sampling
    assert given is not None
    wanted = {SAMPLE} if given.unroll != "step" else {SAMPLE, PREVIOUS_SAMPLE, PREVIOUS_PREDICTION, STEP}
    if given.churn:
        wanted.add(NOISE)
    others = tuple(name_of(other, "") for other in given.conditions)
    own = [spec.name for spec in inputs if spec.name not in FROM_HOST and not spec.name.startswith(others)]
    wanted |= {other + condition for other in others for condition in own}
    makes = {given.latents} if given.unroll != "step" else {NEXT_SAMPLE, PREDICTION}
    for side, needed in ((inputs, wanted), (outputs, makes)):
        present = [spec.name for spec in side]
        if lacking := sorted(needed.difference(present)):
            raise described.wrong(
                f"a sampler (unroll: {given.unroll}) has a port '{lacking[0]}', and this one has {', '.join(present)}: "
                f"say here what it is called, as in `ports: {{{lacking[0]}: {present[0]}}}`",
                "stages", name, "ports",
            )  # fmt: skip
    table, path = _table(described, name, given), f"{TABLES}/{name}.json"
    if table.has_churn != (given.churn is not None):
        has = "a column" if table.has_churn else "no column"
        raise described.wrong(
            f"the table has {has} of noise: say `churn` here where, and only where, the sampler has it",
            "stages", name, "sampling", "table",
        )  # fmt: skip
    write_atomically(folder / path, table.to_json().encode())
    return Sampling(
        **given.model_dump(exclude={"latents", "table", "scheduler_config", "conditions"}),
        evaluations=table.evaluations,
        init_noise_sigma=table.init_noise_sigma,
        latents=replace(next(spec for spec in inputs if spec.name == SAMPLE), name=given.latents),
        table=path,
    )


def _table(described: Described, name: str, given: AdoptedSampling) -> CoefficientTable:
    field = "table" if given.table else "scheduler_config"
    at = ("stages", name, "sampling", field)
    path = described.file(given.table or str(given.scheduler_config), *at)
    try:
        return read_table(path) if given.table else probed_table(path, given)
    except RecipeError as error:
        raise described.wrong(str(error), *at) from None


def _told(inputs: list[TensorSpec], outputs: list[TensorSpec]) -> str:
    """Ports in words."""
    sides = (", ".join(f"{one.name} {one.dtype} {list(one.shape)}" for one in side) for side in (inputs, outputs))
    return " -> ".join(sides)
