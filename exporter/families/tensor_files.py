"""Which of the files of a model's part hold its tensors: the layouts of diffusers and transformers, by name."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from exporter.errors import UnusableWeights, WeightsError
from exporter.families.repository import Repository

STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
SUFFIXES = (".safetensors", ".bin", ".pt")
_VARIANT = re.compile(
    rf"^(?:{'|'.join(STEMS)})(?:\.(?P<single>\w+)\.(?:safetensors|bin|pt)|\.(?:safetensors|bin|pt)\.index\.(?P<sharded>\w+)\.json)$"
)


@dataclass(frozen=True)
class TensorFiles:
    """The files of one part, by their names in its folder: what is loaded, and the index that lists it when that is
    several. `variant`: 'fp16' of 'model.fp16.safetensors', none of the plain files."""

    tensors: tuple[str, ...]
    index: str | None = None
    variant: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return (self.index, *self.tensors) if self.index else self.tensors


def choose(repository: Repository, part: str, variant: str | None = None) -> TensorFiles:
    """What the tensors of the part in folder `part` are loaded from.

    Full precision first: safetensors, then files of torch.save, each whole or sharded by an index; a variant where it
    is wanted, or nothing else is there. Raises WeightsError that names the files that are there, or the shard that is
    missing.
    """
    names = repository.in_folder(part)
    for wanted in _in_order(names, variant):
        for single, index in _candidates(wanted):
            if single in names:
                return TensorFiles((single,), variant=wanted)
            if index in names:
                return _sharded(repository, part, index, wanted)
    raise UnusableWeights(
        f"{repository.source}/{part}".rstrip("/") + f": no weights; it has {repository.shown(part)}, and "
        f"{STEMS[0]}, {STEMS[1]} or {STEMS[2]} is wanted, .safetensors or .bin, whole or in shards with their index"
    )


def variants(names: Collection[str]) -> list[str]:
    """The variants that files of these names come in."""
    found = (_VARIANT.match(name) for name in names)
    return sorted({match["single"] or match["sharded"] for match in found if match})


def _in_order(names: Collection[str], wanted: str | None) -> list[str | None]:
    others: list[str | None] = [variant for variant in variants(names) if variant != wanted]
    return [*([wanted] if wanted else []), None, *others]


def _candidates(variant: str | None) -> Iterator[tuple[str, str]]:
    """A whole file, and the index of a sharded one, in the order in which they are taken."""
    dotted = f".{variant}" if variant else ""
    for suffix in SUFFIXES:
        for stem in STEMS:
            yield f"{stem}{dotted}{suffix}", f"{stem}{suffix}.index{dotted}.json"


def _sharded(repository: Repository, part: str, index: str, variant: str | None) -> TensorFiles:
    path = repository.fetch(f"{part}/{index}" if part else index)
    try:
        weight_map: Any = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        shards = sorted(set(weight_map.values()))
        sound = bool(shards) and all(isinstance(shard, str) and "/" not in shard for shard in shards)
    except (ValueError, KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise WeightsError(
            f"{path}: no index of shards: it needs a 'weight_map' from the name of each tensor to the file that has "
            "it. Download this file again"
        )
    there = repository.in_folder(part)
    if missing := [shard for shard in shards if shard not in there]:
        raise WeightsError(
            f"{path}: lists {len(shards)} shards, and {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} "
            f"missing; beside it there is {repository.shown(part)}. Download what is missing"
        )
    return TensorFiles(tuple(shards), index, variant)
