"""Bundles whose hashes are right and whose manifest describes a pipeline that does not hang together."""

from __future__ import annotations

import contextlib
import json
import random
import resource
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from exporter.errors import EmptyMesh
from exporter.manifest import MANIFEST, _rendered
from exporter.runtime.bundle import Bundle
from tests.faults.children import limited_memory, run_child
from tests.faults.fault import Attempt, Fault
from tests.toy_bundle import write_toy_bundle

MEMORY = 2**31
SECONDS = 60.0
NAMES = ["latents", "embedding", "sample", "points", "nothing", "", "x" * 100, "\x00"]
SIZES = ["batch", "points", "frames", "", 0, -1, 7, 2**40]
Change = Callable[[dict[str, Any], random.Random], object]


def a_stage(data: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    return data["stages"][rng.choice(list(data["stages"]))]


def a_tensor(data: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    stage = a_stage(data, rng)
    tensors = [*stage["inputs"], *stage["outputs"]]
    return rng.choice([*tensors, stage["sampling"]["latents"]] if stage["sampling"] else tensors)


def tensor_renamed(data: dict[str, Any], rng: random.Random) -> None:
    a_tensor(data, rng)["name"] = rng.choice(NAMES)


def tensor_of_other_shape(data: dict[str, Any], rng: random.Random) -> None:
    tensor = a_tensor(data, rng)
    shape = [rng.choice(SIZES) if rng.random() < 0.5 else size for size in tensor["shape"]]
    tensor["shape"] = rng.choice([shape, [], [*shape, 1]])


def tensor_of_other_type(data: dict[str, Any], rng: random.Random) -> None:
    a_tensor(data, rng)["dtype"] = rng.choice(["float99", "object", "int8", ""])


def tensor_missing(data: dict[str, Any], rng: random.Random) -> None:
    a_stage(data, rng)[rng.choice(["inputs", "outputs"])].pop()


def stage_of_another_kind(data: dict[str, Any], rng: random.Random) -> None:
    a_stage(data, rng)["kind"] = rng.choice(["encode", "sample", "map", "field", "render"])


def stage_missing(data: dict[str, Any], rng: random.Random) -> None:
    data["stages"].pop(rng.choice(list(data["stages"])))


def stages_in_another_order(data: dict[str, Any], rng: random.Random) -> None:
    names = list(data["stages"])
    rng.shuffle(names)
    data["stages"] = {name: data["stages"][name] for name in names}


def part_missing(data: dict[str, Any], rng: random.Random) -> None:
    a_stage(data, rng)[rng.choice(["sampling", "volume"])] = None


def part_of_another_stage(data: dict[str, Any], rng: random.Random) -> None:
    part = rng.choice(["sampling", "volume"])
    given = next(stage[part] for stage in data["stages"].values() if stage[part])
    a_stage(data, rng)[part] = given


def volume_of_other_tensors(data: dict[str, Any], rng: random.Random) -> None:
    data["stages"]["field"]["volume"][rng.choice(["distance", "density", "color"])] = rng.choice(NAMES)


def sampled_in_another_way(data: dict[str, Any], rng: random.Random) -> None:
    sampling = data["stages"]["denoiser"]["sampling"]
    sampling |= {
        "unroll": rng.choice(["step", "loop", "full"]),
        "evaluations": rng.choice([1, 4, 10**9]),
        "init_noise_sigma": rng.choice([0.0, -1.0, 1e300]),
    }


def asset_of_another_stage(data: dict[str, Any], rng: random.Random) -> None:
    data["assets"][rng.choice(list(data["assets"]))]["stage"] = rng.choice([*data["stages"], *NAMES])


def asset_missing(data: dict[str, Any], rng: random.Random) -> None:
    data["assets"].pop(rng.choice(list(data["assets"])))


def another_input(data: dict[str, Any], rng: random.Random) -> None:
    source = data["inputs"]["prompt"]
    change = rng.choice(["missing", "renamed", "tensor", "length", "pad_id"])
    if change in ("missing", "renamed"):
        data["inputs"] = {} if change == "missing" else {"text": source}
    else:
        source[change] = rng.choice(NAMES) if change == "tensor" else rng.choice([2, 5, 2**31, 2**40])


CHANGES: list[Change] = [
    tensor_renamed, tensor_of_other_shape, tensor_of_other_type, tensor_missing, stage_of_another_kind, stage_missing,
    stages_in_another_order, part_missing, part_of_another_stage, volume_of_other_tensors, sampled_in_another_way,
    asset_of_another_stage, asset_missing, another_input,
]  # fmt: skip


def attempts(folder: Path, count: int, rng: random.Random) -> Iterator[Attempt]:
    bundle = write_toy_bundle(folder / "bundle")
    content = (bundle / MANIFEST).read_text(encoding="utf-8")
    for number in range(count):
        change = CHANGES[number % len(CHANGES)]
        data = json.loads(content)
        data.pop("checksum")
        change(data, rng)
        (bundle / MANIFEST).write_bytes(_rendered(data))
        end = run_child(partial(_generate, bundle), folder / "words", after=SECONDS)
        yield Attempt(change.__name__.replace("_", " "), end.lost)


def _generate(bundle: Path) -> None:
    """In a child. What the change left harmless makes a mesh."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with limited_memory(MEMORY), contextlib.suppress(EmptyMesh):
        Bundle.open(bundle).generate("a red ball", grid=8)


FAULT = Fault(
    "hostile-manifests",
    "opens and runs a bundle with right hashes and a manifest whose pipeline was tampered with, in 2 GiB; it ends with "
    "a mesh or with words",
    560,
    attempts,
    sample=28,
)
