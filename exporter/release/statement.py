"""What a release says about itself, and what a store says about its releases. Both are signed JSON."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError, model_validator

from exporter.errors import BundleError
from exporter.manifest import FilePart, Part
from exporter.release.names import WantedRelease, require_distinct, require_safe_path
from exporter.release.release_errors import NoSuchRelease

RELEASE_FILE = "release.json"
INDEX_FILE = "index.json"
# More than any release has; what is larger is not read at all.
LARGEST_DOCUMENT = 16 * 2**20
SHA256 = r"^[0-9a-f]{64}$"
Document = TypeVar("Document", bound=BaseModel)


class Frame(Part):
    """One file's own zstd frame inside the archive, so that it can be fetched alone."""

    offset: int = Field(ge=0, description="Bytes from the start of the archive")
    size: int = Field(ge=1, description="Compressed bytes")
    sha256: str = Field(pattern=SHA256, description="Of the compressed bytes")

    @property
    def end(self) -> int:
        return self.offset + self.size


class ReleasedFile(FilePart):
    """A file of a bundle: its digest and size, and where in the archive it lies."""

    executable: bool = False
    frame: Frame


class Archive(Part):
    """One bundle as a .tar.zst whose every member is a zstd frame of its own."""

    file: str = Field(description="Name inside the release's folder")
    sha256: str = Field(pattern=SHA256)
    size: int = Field(ge=1)
    bundle_digest: str = Field(pattern=SHA256)
    target: str
    files: dict[str, ReleasedFile]

    @model_validator(mode="after")
    def _safe(self) -> Archive:
        require_safe_path(self.file)
        for path in self.files:
            require_safe_path(path)
        require_distinct(self.files)
        end = 0
        for path, file in sorted(self.files.items()):
            if file.frame.offset != end:
                raise ValueError(f"{path!r}: its frame does not follow the one before")
            end = file.frame.end
        if end >= self.size:
            raise ValueError("the frames are longer than the archive")
        return self


class Release(Part):
    """release.json: everything in a release's folder but itself and its signature."""

    schema_version: Literal[1] = 1
    name: str
    version: str
    bundles: dict[str, Archive] = Field(min_length=1, description="By the bundle's name, <recipe>/<target>")
    documents: dict[str, FilePart] = Field(description="Model card, bill of materials, provenance, checksums")

    @model_validator(mode="after")
    def _safe(self) -> Release:
        for path in (*self.bundles, *self.documents, self.folder):
            require_safe_path(path)
        require_distinct([*self.documents, *(archive.file for archive in self.bundles.values())])
        require_distinct(self.bundles)
        return self

    @property
    def folder(self) -> str:
        return f"{self.name}-{self.version}"

    @property
    def files(self) -> dict[str, FilePart]:
        """Every file that the signature stands for, archives included."""
        archives = {one.file: FilePart(sha256=one.sha256, size=one.size) for one in self.bundles.values()}
        return self.documents | archives

    def bundle(self, asked: str | None) -> str:
        """The name of the bundle that is meant: by its name, by its target, or the only one. Raises NoSuchRelease."""
        fitting = [n for n, one in self.bundles.items() if asked is None or asked in (n, one.target)]
        if len(fitting) != 1:
            lacks = f"no bundle {asked!r}" if not fitting else "several bundles"
            raise NoSuchRelease(
                f"{self.folder} has {lacks}: name one of {', '.join(sorted(self.bundles))} with --bundle"
            )
        return fitting[0]


class Listed(Part):
    release_sha256: str = Field(pattern=SHA256, description="Of the version's release.json")


class Index(Part):
    """index.json: the releases of a store. `revision` grows, so that an old index cannot be passed off as the new."""

    schema_version: Literal[1] = 1
    revision: int = Field(ge=1)
    releases: dict[str, dict[str, Listed]] = Field(description="By name, by version")
    channels: dict[str, dict[str, str]] = Field(description="By name, by channel: the version it stands for")

    @model_validator(mode="after")
    def _safe(self) -> Index:
        for name, versions in self.releases.items():
            for version in versions:
                require_safe_path(f"{name}-{version}")
        return self

    def resolve(self, wanted: WantedRelease) -> tuple[str, Listed]:
        """The version that is meant, and its entry. Raises NoSuchRelease that lists what there is."""
        if wanted.name not in self.releases:
            raise NoSuchRelease(f"no release '{wanted.name}' here; there are: {', '.join(sorted(self.releases))}")
        versions, channels = self.releases[wanted.name], self.channels.get(wanted.name, {})
        version = wanted.of if wanted.is_version else channels.get(wanted.of, "")
        if version not in versions:
            kept = ", ".join(f"{channel} ({which})" for channel, which in sorted(channels.items()))
            raise NoSuchRelease(
                f"no {wanted.name}@{wanted.of} here; versions: {', '.join(sorted(versions))}; "
                f"channels: {kept or 'none'}"
            )
        return version, versions[version]

    def with_release(self, name: str, version: str, entry: Listed, channel: str) -> Index:
        """This index, one revision on, with the version in it and the channel standing for it."""
        versions = self.releases.get(name, {}) | {version: entry}
        channels = self.channels.get(name, {}) | {channel: version}
        return Index(
            revision=self.revision + 1,
            releases=self.releases | {name: versions},
            channels=self.channels | {name: channels},
        )


def rendered(document: BaseModel) -> bytes:
    """The file of a document: the same document gives the same bytes."""
    data = document.model_dump(mode="json")
    return f"{json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False)}\n".encode()


def parsed(kind: type[Document], content: bytes, what: str | Path) -> Document:
    """A signed document read. Raises BundleError that says what is wrong with it, hostile names included."""
    try:
        return kind.model_validate(json.loads(content.decode("utf-8"), object_pairs_hook=_no_field_twice))
    except ValidationError as error:
        first = error.errors()[0]
        raise BundleError(f"{what}: not what this t3export can read: {_place(first)}{first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{what}: damaged ({error})") from None


def sha256(content: bytes) -> str:
    """sha256 (hex) of bytes."""
    return hashlib.sha256(content).hexdigest()


def _no_field_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is there twice")
    return found


def _place(error: Any) -> str:
    return ".".join(str(part) for part in error["loc"]) + (": " if error["loc"] else "")
