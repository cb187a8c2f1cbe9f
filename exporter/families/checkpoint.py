"""The tensors of files by name, read one at a time: safetensors, and what torch.save wrote, no pickle being run."""

from __future__ import annotations

import pickle
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from exporter.errors import WeightsError

_POINTER = b"version https://git-lfs"
Shape = tuple[int, ...]


class Checkpoint(ABC):
    """Tensors by name. `place`: what error messages call it. `shapes`: of every tensor."""

    place: str
    shapes: Mapping[str, Shape]

    @abstractmethod
    def get(self, name: str) -> torch.Tensor:
        """One tensor, as it is stored."""

    def file_of(self, name: str) -> str:
        """Which file has a tensor, for error messages."""
        return self.place


class SafetensorsFile(Checkpoint):
    """One .safetensors file."""

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        _require_contents(path)
        try:
            self._file = safe_open(path, framework="pt")
            self.shapes = {name: tuple(self._file.get_slice(name).get_shape()) for name in self._file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{path}: truncated or not safetensors ({error}); download it again.") from None

    def get(self, name: str) -> torch.Tensor:
        tensor: torch.Tensor = self._file.get_tensor(name)
        return tensor


class SavedFile(Checkpoint):
    """One file of torch.save with tensors by name, read with weights_only, so that nothing in it is run."""

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        _require_contents(path)
        try:
            # Files older than PyTorch 1.6 are no archives, and cannot be mapped into memory.
            data: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        except pickle.UnpicklingError as error:
            raise WeightsError(
                f"{path}: holds more than tensors, and is not read, for a pickle can run code "
                f"({str(error).splitlines()[0][:160]}). Take the model's safetensors, or save its state_dict() anew"
            ) from None
        except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
            raise WeightsError(f"{path}: truncated, or not of torch.save ({reason}); download it again.") from None
        # Lightning keeps a state_dict beside what else a training goes on from.
        if isinstance(data, dict) and isinstance(data.get("state_dict"), dict):
            data = data["state_dict"]
        if not isinstance(data, dict) or not all(isinstance(value, torch.Tensor) for value in data.values()):
            raise WeightsError(
                f"{path}: not a state_dict, which has a tensor under every name; save state_dict() alone"
            )
        self._tensors: dict[str, torch.Tensor] = data
        self.shapes = {name: tuple(tensor.shape) for name, tensor in data.items()}

    def get(self, name: str) -> torch.Tensor:
        return self._tensors[name]


class Shards(Checkpoint):
    """Several files as one."""

    def __init__(self, place: str, files: Sequence[Checkpoint]) -> None:
        self.place = place
        self._files = {name: file for file in files for name in file.shapes}
        self.shapes = {name: file.shapes[name] for name, file in self._files.items()}

    def get(self, name: str) -> torch.Tensor:
        return self._files[name].get(name)

    def file_of(self, name: str) -> str:
        return self._files[name].file_of(name) if name in self._files else self.place


@dataclass(frozen=True)
class Taken:
    """A tensor of another checkpoint under a new name: `shape` is what `change` makes of it."""

    name: str
    shape: Shape
    change: Callable[[torch.Tensor], torch.Tensor] = lambda tensor: tensor


class Renamed(Checkpoint):
    """Tensors of a checkpoint under other names, changed on the way; what is not taken is not there."""

    def __init__(self, inner: Checkpoint, taken: Mapping[str, Taken], added: Mapping[str, torch.Tensor] | None = None):
        self.place = inner.place
        self._inner, self._taken, self._added = inner, dict(taken), dict(added or {})
        self.shapes = {name: one.shape for name, one in self._taken.items()} | {
            name: tuple(tensor.shape) for name, tensor in self._added.items()
        }

    def get(self, name: str) -> torch.Tensor:
        if name in self._added:
            return self._added[name]
        taken = self._taken[name]
        return taken.change(self._inner.get(taken.name))

    def file_of(self, name: str) -> str:
        return self._inner.file_of(self._taken[name].name) if name in self._taken else self.place


def open_checkpoint(files: Sequence[Path]) -> Checkpoint:
    """The tensors of one file, or of several as one. Raises WeightsError for a file that cannot be read."""
    opened = [SafetensorsFile(path) if path.suffix == ".safetensors" else SavedFile(path) for path in files]
    return opened[0] if len(opened) == 1 else Shards(str(files[0].parent), opened)


def _require_contents(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(len(_POINTER))
    if start == _POINTER:
        raise WeightsError(
            f"{path}: a Git LFS pointer in the place of the file: run `git lfs pull` in its folder, or download it"
        )
