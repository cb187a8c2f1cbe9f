"""The files that one model is loaded from, part by part: chosen once, then downloaded, digested, read and named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from exporter.errors import RecipeError, UnusableWeights, WeightsError
from exporter.families.checkpoint import Checkpoint, open_checkpoint
from exporter.families.repository import FolderRepository, Repository, open_repository
from exporter.families.tensor_files import TensorFiles, choose, variants
from exporter.files.atomic import sha256_of
from exporter.recipe.weights_name import ZOO

Explain = Callable[[Collection[str]], str]
"""Of the names of files, what model they are where they are not the family's; empty where that cannot be told."""


@dataclass(frozen=True)
class Needed:
    """What a part is read from: one of several lists of files, those that are optional, and tensors."""

    files: tuple[tuple[str, ...], ...]
    optional: tuple[str, ...] = ()
    tensors: bool = True


@dataclass(frozen=True)
class WeightsFile:
    """One file that a model was loaded from. `name`: in the folder of its part; `size` in bytes."""

    part: str
    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class PartFiles:
    """The files of one part on this machine."""

    part: str
    folder: Path
    names: tuple[str, ...]
    tensors: TensorFiles | None = None

    def checkpoint(self) -> Checkpoint:
        """Its tensors. Raises WeightsError for a file that cannot be read."""
        assert self.tensors is not None, f"{self.part} has no tensors"
        return open_checkpoint([self.folder / name for name in self.tensors.tensors])

    def json(self, name: str) -> Any:
        """What is in one of its JSON files. Raises WeightsError."""
        return read_json(self.folder / name)


@dataclass(frozen=True)
class ModelFiles:
    """The files of all parts. `source`: the weights as they are named to get these very files again; `notes`: what a
    person should know of the choice; `listed`: the files, where they were digested already."""

    source: str
    parts: Mapping[str, PartFiles]
    notes: tuple[str, ...] = field(default=())
    listed: tuple[WeightsFile, ...] | None = None

    @cached_property
    def files(self) -> tuple[WeightsFile, ...]:
        """Every file with its digest, in the order of the parts."""
        return self.listed or tuple(
            WeightsFile(part, name, sha256_of(path), path.stat().st_size)
            for part, files in self.parts.items()
            for name in sorted(files.names)
            for path in [files.folder / name]
        )

    @property
    def digest(self) -> str:
        """sha256 over the names and contents of all of them."""
        return digest_of(self.files)


def digest_of(files: Sequence[WeightsFile]) -> str:
    """sha256 (hex) over the names and contents of files."""
    lines = "".join(f"{file.part}/{file.name}:{file.sha256}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def find_parts(
    weights: str | Repository,
    zoo: Mapping[str, tuple[str, ...]],
    needed: Mapping[str, Needed],
    variant: str | None = None,
    explain: Explain = lambda names: "",
) -> ModelFiles:
    """The files of each part of what `weights` names: a zoo model, a local folder, or a hub name, downloaded.

    `zoo`: the folders of each zoo model; a part is taken from the first that has it, so that a model with another
    prior shares the rest. Raises NoSuchWeights when there is none, HubUnreachable when the hub does not answer,
    WeightsError for a part whose files are not all there, RecipeError for a `variant` that no part has.
    """
    if isinstance(weights, Repository):
        roots: list[Repository] = [weights]
    elif weights in zoo:
        roots = [FolderRepository(ZOO / name, weights) for name in zoo[weights]]
    else:
        roots = [open_repository(weights)]
    parts = {}
    for part, wanted in needed.items():
        root = next((root for root in roots if root.in_folder(part)), roots[-1])
        parts[part] = take(root, part, wanted, variant=variant, explain=explain)
    with_tensors = [files for files in parts.values() if files.tensors]
    _require_variant(roots, [files.part for files in with_tensors], variant, with_tensors)
    return ModelFiles(roots[0].source, parts, _notes(with_tensors, variant))


def take(
    root: Repository,
    part: str,
    wanted: Needed,
    *,
    folder: str | None = None,
    variant: str | None = None,
    explain: Explain = lambda names: "",
) -> PartFiles:
    """One part, from the folder of its name or another ('': the root). Raises WeightsError for what is missing."""
    folder = part if folder is None else folder
    place, there = f"{root.source}/{folder}".rstrip("/"), root.in_folder(folder)
    alternative = next((files for files in wanted.files if all(name in there for name in files)), None)
    if alternative is None:
        if instead := explain(root.names):
            raise WeightsError(f"weights '{root.source}': {instead}; there is {root.shown()}")
        lists = ", or ".join(" with ".join(names) for names in wanted.files)
        has = f"it has {root.shown(folder)}" if there else f"there is nothing; {root.source} has {root.shown()}"
        raise UnusableWeights(f"{place}: {lists}: missing ({has}); the folder must have the hub's diffusers layout")
    tensors = choose(root, folder, variant) if wanted.tensors else None
    names = [*alternative, *(name for name in wanted.optional if name in there and name not in alternative)]
    names += tensors.names if tensors else ()
    paths = [root.fetch(f"{folder}/{name}" if folder else name) for name in names]
    return PartFiles(part, paths[0].parent, tuple(names), tensors)


def read_json(path: Path) -> Any:
    """The JSON in a file of the model's folder. Raises WeightsError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnusableWeights(f"{path}: missing; the folder must have the hub's diffusers layout") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: not valid JSON ({error}); download the folder again.") from None


def _require_variant(
    roots: Sequence[Repository], parts: Sequence[str], variant: str | None, taken: Sequence[PartFiles]
) -> None:
    if variant is None or any(files.tensors and files.tensors.variant == variant for files in taken):
        return
    known = sorted({one for root in roots for part in parts for one in variants(root.in_folder(part))})
    raise RecipeError(
        f"model.variant: no part of '{roots[0].source}' comes in variant '{variant}'; "
        + (f"there is {', '.join(known)}" if known else "there is only one precision of each: leave this field out")
    )


def _notes(taken: Sequence[PartFiles], variant: str | None) -> tuple[str, ...]:
    notes = []
    for files in taken:
        found = files.tensors.variant if files.tensors else None
        if found and found != variant:
            notes.append(f"{files.part}: loaded from its variant {found}, for no full precision is there")
        if variant and found is None:
            notes.append(f"{files.part}: has no variant {variant}; its full precision was taken")
    return tuple(notes)
