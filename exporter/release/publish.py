"""Bundles to a signed release in a store: gate, archives, documents, signature, index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

import exporter
from exporter.files.atomic import sha256_of, write_atomically
from exporter.files.lock import alone
from exporter.files.swap import replacing
from exporter.manifest import MANIFEST, FilePart, bundle_digest
from exporter.release.archive import write_archive
from exporter.release.card import WeightsCard, write_card
from exporter.release.gate import Proved, require_releasable
from exporter.release.installed import RELEASE, SIGNATURE, reports_in
from exporter.release.keys import TrustedKeys
from exporter.release.minisign import SUFFIX, PublicKey
from exporter.release.names import split_folder
from exporter.release.provenance import provenance
from exporter.release.release_errors import NotReleasable
from exporter.release.sbom import bill_of_materials
from exporter.release.signed import read_index, release_signature, write_index
from exporter.release.sigstore_signature import SIGSTORE_FILE
from exporter.release.statement import INDEX_FILE, RELEASE_FILE, Archive, Index, Listed, Release, rendered, sha256
from exporter.release.stores import FolderStore

ARCHIVE_SUFFIX = ".tar.zst"
CARD, BILL, CHECKSUMS = "README.md", "sbom.cdx.json", "SHA256SUMS"
OnStep = Callable[[str], None]
Sign = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Published:
    """A release in its place, and the store's index after it."""

    folder: Path
    release: Release
    index: Index


def publish(
    bundles: Sequence[Path],
    folder: Path,
    key: Ed25519PrivateKey,
    channel: str,
    license: str | None = None,
    on_step: OnStep = lambda step: None,
    sign_too: Sign | None = None,
) -> Published:
    """Writes STORE/NAME-VERSION and lists it in STORE/index.json, where `channel` then stands for it.

    The same bundles and key give the same bytes. A version that is there is never changed: only the same content may be
    released again, to move a channel or to add the sigstore bundle that `sign_too` makes of release.json. Raises
    NotReleasable, BundleError for a damaged bundle or index, KeyProblem for a store whose index this key did not sign,
    NoSuchRelease for a folder of another form.
    """
    name, version = split_folder(folder.name)
    proved = require_releasable(bundles)
    weights = _weights_card(proved, license)
    store = folder.parent
    with alone(store / INDEX_FILE):
        index = _index(store, key)
        with replacing(folder) as fresh:
            release = _write(fresh, name, version, proved, weights, key, on_step)
            _require_same(folder, release)
            _add_sigstore(fresh, folder, release, sign_too, on_step)
        entry = Listed(release_sha256=sha256(rendered(release)))
        listed = index.with_release(name, version, entry, channel)
        if (listed.releases, listed.channels) != (index.releases, index.channels):
            write_index(store, listed, key)
            index = listed
    return Published(folder, release, index)


def _write(
    folder: Path,
    name: str,
    version: str,
    proved: Sequence[Proved],
    weights: WeightsCard,
    key: Ed25519PrivateKey,
    on_step: OnStep,
) -> Release:
    archives = {}
    for one in sorted(proved, key=lambda one: one.name):
        on_step(f"pack {one.name}")
        archives[one.name] = _pack(one, folder)
        write_atomically(folder / f"{one.name}.intoto.json", provenance(one, archives[one.name]))
    on_step("documents")
    card = write_card(name, version, proved, weights, PublicKey.of(key).name)
    write_atomically(folder / CARD, card.encode())
    write_atomically(folder / BILL, bill_of_materials(name, version, proved, archives, weights.license))
    sums = "".join(f"{part.sha256}  {file}\n" for file, part in _files(folder).items())
    write_atomically(folder / CHECKSUMS, sums.encode())
    packed = {archive.file for archive in archives.values()}
    documents = {file: part for file, part in _files(folder).items() if file not in packed}
    try:
        release = Release(name=name, version=version, bundles=archives, documents=documents)
    except ValidationError as error:
        raise NotReleasable(f"not released: {error.errors()[0]['msg']}") from None
    write_atomically(folder / RELEASE_FILE, rendered(release))
    write_atomically(folder / f"{RELEASE_FILE}{SUFFIX}", release_signature(release, key).encode())
    return release


def _pack(bundle: Proved, folder: Path) -> Archive:
    path = folder / f"{bundle.name}{ARCHIVE_SUFFIX}"
    path.parent.mkdir(parents=True, exist_ok=True)
    # A bundle that was pulled and is released again leaves its former release's papers behind.
    papers = [name for name in reports_in(bundle.folder) if name not in (RELEASE, SIGNATURE)]
    assert bundle.manifest.validation is not None
    names = {MANIFEST, *bundle.manifest.files, bundle.manifest.validation.report, *papers}
    with path.open("wb") as stream:
        files = write_archive(bundle.folder, names, stream)
    return Archive(
        file=path.relative_to(folder).as_posix(),
        sha256=sha256_of(path),
        size=path.stat().st_size,
        bundle_digest=bundle_digest(bundle.manifest),
        target=str(bundle.manifest.target["name"]),
        files=files,
    )


def _files(folder: Path) -> dict[str, FilePart]:
    """Digest and size of every file of a release; `list_files` leaves out what a bundle does not count."""
    named = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: FilePart(sha256=sha256_of(path), size=path.stat().st_size) for name, path in named.items()}


def _weights_card(proved: Sequence[Proved], license: str | None) -> WeightsCard:
    """The card of the one model that all bundles are made from. Raises NotReleasable where they are several."""
    digests = {one.manifest.weights.digest for one in proved}
    if len(digests) > 1:
        raise NotReleasable("not released: the bundles are made from different weights; release each model by itself")
    source = proved[0].manifest.weights.source
    shipped = Path(exporter.__path__[0]) / "zoo" / source.replace("-", "_")
    return WeightsCard.find(next((place for place in (shipped, Path(source)) if place.is_dir()), None), license)


def _index(store: Path, key: Ed25519PrivateKey) -> Index:
    """The store's index, which this key must have signed; an empty one for a new store."""
    if not (store / INDEX_FILE).exists():
        return Index.model_construct(revision=0, releases={}, channels={})
    return read_index(
        FolderStore(store), TrustedKeys((PublicKey.of(key),), "this key alone, which the store is to be of")
    )


def _add_sigstore(fresh: Path, folder: Path, release: Release, sign_too: Sign | None, on_step: OnStep) -> None:
    """The sigstore bundle, made last, as it is entered in a public log; else the one that the release has already."""
    there = folder / SIGSTORE_FILE
    if sign_too:
        on_step("sign with sigstore")
        write_atomically(fresh / SIGSTORE_FILE, sign_too(rendered(release)))
    elif there.is_file():
        write_atomically(fresh / SIGSTORE_FILE, there.read_bytes())


def _require_same(folder: Path, release: Release) -> None:
    """Raises NotReleasable where the folder holds anything but this very release."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    there = folder / RELEASE_FILE
    if not there.is_file() or there.read_bytes() != rendered(release):
        raise NotReleasable(
            f"not released: {folder} is there with other content, and a version that is out never changes; raise the "
            "version in the folder's name"
        )
