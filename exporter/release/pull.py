"""A release from a store into its place: the signature first, then each digest, then one step into place."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from exporter.errors import BundleError, RecipeError
from exporter.files.atomic import write_atomically
from exporter.files.in_place import followed, workplace
from exporter.files.lock import alone
from exporter.files.swap import building, put, recover
from exporter.manifest import MANIFEST, require_replaceable
from exporter.release.fetch import Fetched, OnBytes, Staging
from exporter.release.installed import RELEASE, SIGNATURE, Installed, is_worth_keeping, keeping_before, kept_before
from exporter.release.keys import TrustedKeys
from exporter.release.names import WantedRelease
from exporter.release.release_errors import KeyProblem, StoreProblem
from exporter.release.signed import parse_index, read_signed_release
from exporter.release.statement import INDEX_FILE, RELEASE_FILE, Index, rendered, sha256
from exporter.release.stores import Store, read_document


@dataclass(frozen=True)
class Pulled:
    """What is in place now, what was before, and what it cost; `fetched` is None where it was there already."""

    installed: Installed
    former: Installed | None
    fetched: Fetched | None


def pull(
    wanted: WantedRelease,
    store: Store,
    into: Path,
    keys: TrustedKeys,
    bundle: str | None = None,
    on_bytes: OnBytes | None = None,
) -> Pulled:
    """Puts a bundle of a release at `into`/<recipe>/<target>; the one in place stays as the version before.

    Raises RecipeError where `into` is a bundle itself, KeyProblem for a signature that is not trusted, BundleError for
    anything that is not what was signed, NoSuchRelease, StoreProblem, and EnvironmentProblem on a full disk. What is in
    place is then as it was.
    """
    if (into / MANIFEST).exists():
        raise RecipeError(f"{into}: is a bundle, which a pull into it would damage; name the folder of pulled bundles")
    index = _newest_index(store, into / f".{wanted.name}.{INDEX_FILE}", keys)
    version, entry = index.resolve(wanted)
    path = f"{wanted.name}-{version}"
    release, signature = read_signed_release(store, path, keys)
    if sha256(rendered(release)) != entry.release_sha256 or release.folder != path:
        raise BundleError(f"{path}/{RELEASE_FILE}: signed, but not the one that the index lists")
    name = release.bundle(bundle)
    folder = into / name
    recover(folder)
    require_replaceable(folder)
    with alone(folder):
        former = Installed.find(folder, name)
        if former and former.release == release and _is_as_signed(former, keys):
            return Pulled(former, former, None)
        here = [one for one in (former, Installed.find(kept_before(folder), name)) if one]
        archive = release.bundles[name]
        staging = Staging(
            workplace(folder) / f".{followed(folder).name}.pulling",
            store,
            f"{path}/{archive.file}",
            archive.files,
            on_bytes or (lambda done, total: None),
        )
        keeps = not (former and former.release == release) and is_worth_keeping(folder, former)
        fetched = staging.fill(here, _size(folder) if keeps else 0)
        with building(folder) as fresh:
            staging.give(fresh)
            write_atomically(fresh / RELEASE, rendered(release))
            write_atomically(fresh / SIGNATURE, signature)
            Installed.verified(fresh, keys)
            with keeping_before(folder, former) if keeps else nullcontext():
                put(fresh, folder)
        shutil.rmtree(staging.folder, ignore_errors=True)
    return Pulled(Installed(folder, release, name), former, fetched)


def _is_as_signed(found: Installed, keys: TrustedKeys) -> bool:
    try:
        return Installed.verified(found.folder, keys) == found
    except (BundleError, KeyProblem, StoreProblem):
        return False


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _newest_index(store: Store, kept: Path, keys: TrustedKeys) -> Index:
    """The store's index, kept as the last one seen. Raises BundleError for an older one, as an attacker would show."""
    content = read_document(store, INDEX_FILE)
    index = parse_index(content, keys, INDEX_FILE)
    if kept.is_file():
        seen = _seen_index(kept, keys)
        if seen.revision > index.revision:
            raise BundleError(
                f"{INDEX_FILE}: revision {index.revision}, and {seen.revision} was seen here before: the store shows "
                f"an old state. If it was set up anew on purpose, delete {kept}"
            )
    write_atomically(kept, content)
    return index


def _seen_index(kept: Path, keys: TrustedKeys) -> Index:
    """The index of the last pull. Raises KeyProblem or BundleError, with what to do about it."""
    try:
        return parse_index(kept.read_bytes(), keys, str(kept))
    except (KeyProblem, BundleError) as error:
        raise type(error)(
            f"{error}\nThat is the index of the last pull into this folder. If it is damaged, or another publisher is "
            f"meant from now on, delete {kept}; -o pulls into another folder"
        ) from None
