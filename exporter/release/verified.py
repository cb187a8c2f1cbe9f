"""Is this what its publisher signed? For a store of releases, one release, or a pulled bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from exporter.errors import BundleError, first_of
from exporter.files.atomic import sha256_of
from exporter.manifest import MANIFEST
from exporter.release.archive import Nowhere, Window, unpack
from exporter.release.installed import RELEASE, Installed
from exporter.release.keys import TrustedKeys
from exporter.release.minisign import SUFFIX
from exporter.release.release_errors import KeyProblem
from exporter.release.signed import read_index, read_release
from exporter.release.sigstore_signature import SIGSTORE_FILE, Identity
from exporter.release.sigstore_signature import verify as verify_sigstore
from exporter.release.statement import INDEX_FILE, RELEASE_FILE, Archive, Release, rendered, sha256
from exporter.release.stores import FolderStore

OnFile = Callable[[str], None]


@dataclass(frozen=True)
class Verified:
    """What a path turned out to be, and how many files were checked against a signature.

    `sigstore`: the releases that have a sigstore bundle too, which was looked at where an identity was asked for.
    """

    kind: str
    names: tuple[str, ...]
    files: int
    sigstore: tuple[str, ...] = ()


def verify(
    path: Path, keys: TrustedKeys, on_file: OnFile = lambda name: None, identity: Identity | None = None
) -> Verified:
    """Holds every byte below a path to its signature; in a store hidden entries may lie, which no pull reads.

    Where an identity is given, each release has to have its sigstore signature too. Raises KeyProblem for a signature
    that is not trusted or not there, BundleError that names what was changed, or for something that was never signed,
    EnvironmentProblem where sigstore cannot be asked.
    """
    if (path / INDEX_FILE).is_file():
        return _verify_store(path, keys, on_file, identity)
    if (path / RELEASE_FILE).is_file():
        release = verify_release(path, keys, on_file, identity)
        return Verified("release", (release.folder,), len(release.files), _with_sigstore([path]))
    if (path / RELEASE).is_file():
        if identity:
            raise KeyProblem(
                f"{path}: a pulled bundle keeps the key's signature alone; --identity is for the release it was pulled "
                "from, or its store"
            )
        found = Installed.verified(path, keys)
        return Verified("bundle", (f"{found.release.folder} {found.name}",), len(found.archive.files))
    if (path / MANIFEST).is_file():
        raise BundleError(
            f"{path}: a bundle without a signature, so nobody vouches for it. `t3export inspect {path}` compares its "
            "files with its own hashes; `t3export release` signs it"
        )
    raise BundleError(f"{path}: neither a store of releases, nor a release, nor a pulled bundle: nothing to verify")


def verify_release(
    folder: Path, keys: TrustedKeys, on_file: OnFile = lambda name: None, identity: Identity | None = None
) -> Release:
    """Holds a release's folder to its signatures: documents, archives, and every file in them. Raises as `verify`."""
    release = read_release(FolderStore(folder), "", keys)
    if identity:
        _require_signed_by(identity, folder, release)
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()}
    known = {RELEASE_FILE, RELEASE_FILE + SUFFIX, SIGSTORE_FILE, *release.files}
    problems = [f"{name}: not in the release" for name in present - known]
    for name, file in release.files.items():
        on_file(name)
        path = folder / name
        if path.is_symlink() or not path.is_file():
            problems.append(f"{name}: missing, or no plain file")
        elif path.stat().st_size != file.size:
            problems.append(f"{name}: {path.stat().st_size} bytes, {file.size} expected")
        elif sha256_of(path) != file.sha256:
            problems.append(f"{name}: changed (its sha256 is not the one signed)")
    if problems:
        raise BundleError(
            f"{folder}: not what was signed\n  "
            + "\n  ".join(first_of(sorted(problems)))
            + "\nPublish or copy it again"
        )
    for archive in release.bundles.values():
        _verify_archive(folder / archive.file, archive)
    return release


def _require_signed_by(identity: Identity, folder: Path, release: Release) -> None:
    path = folder / SIGSTORE_FILE
    if not path.is_file():
        raise KeyProblem(
            f"{path}: not there, so {identity.name} did not sign this release; `t3export release --sigstore` does, for "
            "the same content later too"
        )
    verify_sigstore(rendered(release), path.read_bytes(), identity, str(path))


def _with_sigstore(folders: Iterable[Path]) -> tuple[str, ...]:
    return tuple(folder.name for folder in folders if (folder / SIGSTORE_FILE).is_file())


def _verify_store(path: Path, keys: TrustedKeys, on_file: OnFile, identity: Identity | None) -> Verified:
    # Looked at before the index: a release that is published meanwhile is no stranger.
    present = {entry.name for entry in path.iterdir() if not entry.name.startswith(".")}
    index, releases = read_index(FolderStore(path), keys), {}
    for name, versions in sorted(index.releases.items()):
        for version, entry in sorted(versions.items()):
            folder = path / f"{name}-{version}"
            release = releases[folder.name] = verify_release(folder, keys, on_file, identity)
            if sha256(rendered(release)) != entry.release_sha256 or release.folder != folder.name:
                raise BundleError(f"{folder}: signed, but not the release that {INDEX_FILE} lists")
    # The hub shows the card of the newest release above the releases.
    signed = {file.sha256 for release in releases.values() for file in release.documents.values()}
    strangers = [name for name in sorted(present - {INDEX_FILE, *releases}) if not _is_one_of(path / name, signed)]
    if strangers:
        raise BundleError(
            f"{path}: more than what was signed\n  "
            + "\n  ".join(first_of([f"{name}: not listed in {INDEX_FILE}" for name in strangers]))
            + "\nDelete them; a release whose publishing was cut short is listed by `t3export release` once more"
        )
    files = sum(len(release.files) for release in releases.values())
    return Verified("store", tuple(releases), files, _with_sigstore(path / name for name in releases))


def _is_one_of(path: Path, digests: set[str]) -> bool:
    return path.is_file() and not path.is_symlink() and sha256_of(path) in digests


def _verify_archive(path: Path, archive: Archive) -> None:
    """Every frame unpacked to nowhere. Raises BundleError."""
    with path.open("rb") as stream:
        for name, file in sorted(archive.files.items()):
            frame = Window(stream, file.frame.offset, file.frame.size)
            unpack(frame, name, file, Nowhere())
            if frame.finish() != file.frame.sha256:
                raise BundleError(f"{path}: {name}: its frame is not the one signed")
