"""Where the files of published weights lie: a folder on disk, or a model of the hub, in its cache or downloaded."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path

from exporter.errors import HubUnreachable, NoSuchWeights, UnusableWeights, WeightsError, first_of
from exporter.recipe.weights_name import HUB_NAME

_SHOWN = 12


class Repository(ABC):
    """Files by their paths below one root.

    `source`: what to call these weights to get the same ones again, of a hub name with its commit. `names`: of all
    files, those in folders of the root included.
    """

    source: str
    names: frozenset[str]

    @abstractmethod
    def fetch(self, name: str) -> Path:
        """Where a file of `names` lies on this machine, downloaded if it has to be. Raises WeightsError."""

    @property
    @abstractmethod
    def root(self) -> Path:
        """The folder below which fetched files lie."""

    def in_folder(self, folder: str) -> list[str]:
        """The names of the files in one folder of the root, without it; '' is the root itself."""
        start = f"{folder}/" if folder else ""
        below = (name.removeprefix(start) for name in self.names if name.startswith(start))
        return sorted(name for name in below if "/" not in name)

    def shown(self, folder: str = "") -> str:
        """The files of a folder of the root, for an error message; of the root itself all there is."""
        names = self.in_folder(folder) if folder else sorted(self.names)
        return ", ".join(first_of(names, _SHOWN)) if names else "nothing"


class FolderRepository(Repository):
    """A local folder; links into a hub cache, and folders that can only be read, are as good as files."""

    def __init__(self, folder: Path, source: str | None = None) -> None:
        self._folder = folder
        self.source = source or str(folder)
        self.names = frozenset(_files_below(folder))

    @property
    def root(self) -> Path:
        return self._folder

    def fetch(self, name: str) -> Path:
        path = self._folder / name
        if path.is_symlink() and not path.exists():
            raise WeightsError(
                f"{path}: links to {path.readlink()}, which is gone: a download that was cut, or a cache that was "
                "cleaned. Download this file again"
            )
        return path


class HubRepository(Repository):
    """A commit of a model on the hub; a file is downloaded when it is fetched."""

    def __init__(self, name: str, commit: str, files: list[str]) -> None:
        self._name, self._commit = name, commit
        self._root: Path | None = None
        self.source = f"{name}@{commit}"
        self.names = frozenset(files)

    @property
    def root(self) -> Path:
        if self._root is None:
            raise WeightsError(f"weights '{self.source}': nothing of them has been downloaded yet")
        return self._root

    def fetch(self, name: str) -> Path:
        from huggingface_hub import hf_hub_download

        try:
            path = Path(hf_hub_download(self._name, name, revision=self._commit))
        except Exception as error:
            raise _no_answer(self.source, error) from None
        self._root = path.parents[name.count("/")]
        return path


def open_repository(weights: str) -> Repository:
    """The files of a local folder, or of 'org/name' or 'org/name@revision' on the hub.

    A hub name is pinned to the commit that its revision is now; where the hub does not answer, to the one that its
    cache has. Raises NoSuchWeights where there is neither folder nor model, HubUnreachable.
    """
    # pathlib's own raises RuntimeError for a user whom the system does not know.
    folder = Path(os.path.expanduser(weights))  # noqa: PTH111
    if folder.is_dir():
        return FolderRepository(folder, weights)
    if (found := HUB_NAME.match(weights)) and not folder.exists():
        return _on_the_hub(found[1], found[2])
    raise NoSuchWeights(f"weights {weights!r}: no such folder")


def _on_the_hub(name: str, revision: str | None) -> Repository:
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    reason: Exception | None = None
    if not constants.HF_HUB_OFFLINE:
        try:
            info = HfApi().model_info(name, revision=revision)
            return HubRepository(name, str(info.sha), [file.rfilename for file in info.siblings or []])
        except Exception as error:
            reason = error
            if not isinstance(failure := _no_answer(_asked(name, revision), error), HubUnreachable):
                raise failure from None
    try:
        snapshot = Path(snapshot_download(name, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError as error:
        raise _no_answer(_asked(name, revision), reason or error) from None
    return FolderRepository(snapshot, f"{name}@{snapshot.name}")


def _asked(name: str, revision: str | None) -> str:
    return f"{name}@{revision}" if revision else name


def _no_answer(weights: str, error: Exception) -> WeightsError:
    """What the hub's refusal means to a user; what is none is raised again."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return UnusableWeights(f"weights {weights!r}: gated on the hub; accept its terms there and log in")
    if isinstance(error, RepositoryNotFoundError):
        return NoSuchWeights(f"weights {weights!r}: the hub has no such model")
    if isinstance(error, RevisionNotFoundError):
        return NoSuchWeights(
            f"weights {weights!r}: the hub's model has no such revision; give a branch, a tag, 'refs/pr/N' or a commit"
        )
    # The hub's client raises errors of the HTTP library that it happens to be built on.
    if isinstance(error, OSError) or type(error).__module__.startswith("httpx"):
        return HubUnreachable(f"weights {weights!r}: the model hub cannot be reached ({_first_line(error)})")
    raise error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _files_below(folder: Path) -> list[str]:
    """Two floors deep, as models lie; a link that leads nowhere is a file that is missing its contents."""
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += [f"{entry.name}/{inner.name}" for inner in entry.iterdir() if not inner.is_dir()]
        else:
            found.append(entry.name)
    return found
