"""Which of the files of a folder a Point-E is made of: a base model, and an upsampler, a signed distance and CLIP
beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from exporter.errors import NoSuchWeights, UnusableWeights, WeightsError
from exporter.families.clip_files import CLIP, CLIP_ON_THE_HUB
from exporter.families.part_files import Needed, PartFiles, WeightsFile, take
from exporter.families.point_e.network_file import SUFFIXES, NetworkFile, read_network_file, whose
from exporter.families.point_e.networks import DiffusionSize, DistanceSize
from exporter.families.repository import FolderRepository, open_repository
from exporter.files.atomic import sha256_of

CLIP_FILES = Needed(
    files=(("config.json", "tokenizer.json"), ("config.json", "vocab.json", "merges.txt")),
    optional=("tokenizer_config.json", "special_tokens_map.json", "preprocessor_config.json"),
)
# What openai/point-e leaves in its cache beside the models that are read here.
OTHERS = ("ViT-L-14.pt", "ViT-B-32.pt", "pointnet.pt")
POINTS = (1024, 3072)


@dataclass(frozen=True)
class PublishedFiles:
    """`clip`: the files of CLIP by part, where the base model is conditioned on it; all of it is the part `clip`.
    `points`: how many the base makes, and how many the upsampler beside them, which no file says."""

    base: NetworkFile
    upsampler: NetworkFile | None
    distance: NetworkFile | None
    clip: Mapping[str, PartFiles]
    points: tuple[int, int] = POINTS

    @cached_property
    def files(self) -> tuple[WeightsFile, ...]:
        """Every file with its digest."""
        parts = {"base": self.base, "upsampler": self.upsampler, "distance": self.distance}
        paths = [(part, file.path) for part, file in parts.items() if file]
        paths += [(part, files.folder / name) for part, files in self.clip.items() for name in sorted(files.names)]
        return tuple(WeightsFile(part, path.name, sha256_of(path), path.stat().st_size) for part, path in paths)


def find_published(weights: str, clip: str | None = None) -> PublishedFiles:
    """The files of a model: `weights` is the base model's, or a folder with one base model in it. What each file is for
    is told from its tensors, whatever its name. `clip`: a folder or hub name of CLIP, the folder beside them for none.

    Raises NoSuchWeights where there is nothing, WeightsError for files of other models, for several of one kind, and
    for CLIP that is missing.
    """
    given = Path(weights).expanduser()
    if not given.exists():
        raise NoSuchWeights(f"weights {weights!r}: no such file or folder")
    folder = given if given.is_dir() else given.parent
    files = [f for f in sorted(folder.iterdir()) if f.suffix in SUFFIXES and f.name not in OTHERS and f != given]
    found = [checkpoint for file in files if (checkpoint := read_network_file(file))]
    base = _only_base(given, found) if given.is_dir() else _base(given)
    condition = base.size.condition if isinstance(base.size, DiffusionSize) else "none"
    return PublishedFiles(
        base,
        _at_most_one("upsampler", [part for part in found if getattr(part.size, "upsamples", False)]),
        _at_most_one("signed distance", [part for part in found if isinstance(part.size, DistanceSize)]),
        {"clip": _clip_files(folder, clip)} if condition != "none" else {},
    )


def _base(file: Path) -> NetworkFile:
    found = read_network_file(file)
    if found is None:
        raise UnusableWeights(f"{file}: no base model of Point-E: {whose(file)}")
    if not _is_base(found):
        kind = "a signed distance" if isinstance(found.size, DistanceSize) else "an upsampler"
        raise UnusableWeights(f"{file}: {kind}, which goes beside a base model")
    return found


def _only_base(folder: Path, found: list[NetworkFile]) -> NetworkFile:
    bases = [checkpoint for checkpoint in found if _is_base(checkpoint)]
    if len(bases) > 1:
        names = ", ".join(checkpoint.path.name for checkpoint in bases)
        raise WeightsError(f"{folder}: {len(bases)} base models ({names}); give the file of one of them")
    if not bases:
        raise UnusableWeights(f"{folder}: no base model of Point-E; {_there(folder)}")
    return bases[0]


def _there(folder: Path) -> str:
    """What a folder has instead."""
    if (folder / "prior").is_dir() and (folder / "shap_e_renderer").is_dir():
        return "these are Shap-E's, in diffusers' layout: set model.family to shap-e"
    for file in sorted(folder.iterdir()):
        if file.suffix in SUFFIXES and file.name not in OTHERS and read_network_file(file) is None:
            return f"of {file.name}, {whose(file)}"
    there = ", ".join(path.name for path in sorted(folder.iterdir())[:5])
    return f"it has {there}" if there else "it is empty"


def _is_base(checkpoint: NetworkFile) -> bool:
    return isinstance(checkpoint.size, DiffusionSize) and not checkpoint.size.upsamples


def _at_most_one(kind: str, found: list[NetworkFile]) -> NetworkFile | None:
    if len(found) > 1:
        names = " and ".join(checkpoint.path.name for checkpoint in found)
        raise WeightsError(f"{found[0].path.parent}: {names} are both a network of the kind {kind}; leave one there")
    return found[0] if found else None


def _clip_files(folder: Path, clip: str | None) -> PartFiles:
    if clip:
        return take(open_repository(clip), "", CLIP_FILES)
    if not (folder / CLIP).is_dir():
        raise WeightsError(
            f"{folder / CLIP}: no such folder; the base model is conditioned on CLIP, which is no part of its file: "
            f"set model.clip to a folder or to {CLIP_ON_THE_HUB}, or: hf download {CLIP_ON_THE_HUB} "
            f"--local-dir {folder / CLIP}"
        )
    return take(FolderRepository(folder / CLIP), "", CLIP_FILES)
