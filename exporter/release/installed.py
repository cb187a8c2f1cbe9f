"""A pulled bundle in its place: which release it is of, whether it is whole, and the version before it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from exporter.errors import BundleError, first_of
from exporter.files.atomic import sha256_of
from exporter.files.copying import copy_contents
from exporter.files.left_behind import is_left_behind
from exporter.files.lock import alone
from exporter.files.swap import building, exchange
from exporter.manifest import MANIFEST, REPORTS, bundle_digest, read_manifest
from exporter.release.keys import TrustedKeys
from exporter.release.minisign import SUFFIX
from exporter.release.release_errors import NoSuchRelease
from exporter.release.signed import read_release
from exporter.release.statement import RELEASE_FILE, Archive, Release, parsed
from exporter.release.stores import FolderStore

# Among the reports, which are no part of the bundle's digest.
RELEASE = f"{REPORTS}/{RELEASE_FILE}"
SIGNATURE = RELEASE + SUFFIX
_BEFORE = ".before"


@dataclass(frozen=True)
class Installed:
    """A bundle's folder with the release it says it is of."""

    folder: Path
    release: Release
    name: str

    @property
    def archive(self) -> Archive:
        return self.release.bundles[self.name]

    @classmethod
    def find(cls, folder: Path, name: str) -> Installed | None:
        """What a folder says it is, as the bundle of that name; None where it was not pulled. Nothing is verified."""
        try:
            release = parsed(Release, (folder / RELEASE).read_bytes(), folder / RELEASE)
        except (OSError, BundleError):
            return None
        return cls(folder, release, name) if name in release.bundles else None

    @classmethod
    def verified(cls, folder: Path, keys: TrustedKeys, alone: bool = True) -> Installed:
        """Every byte checked against the signature. `alone`: nothing may lie beside what was signed.

        Raises KeyProblem, or BundleError that names each bad file.
        """
        release = read_release(FolderStore(folder), REPORTS, keys)
        manifest = read_manifest(folder)
        if manifest.name not in release.bundles:
            raise BundleError(f"{folder}: '{manifest.name}' is no bundle of the release {release.folder} that it names")
        found = cls(folder, release, manifest.name)
        if problems := found.damages() + (found.strangers() if alone else []):
            raise BundleError(
                f"{folder}: not what was released\n  " + "\n  ".join(first_of(problems)) + "\nPull it again"
            )
        if bundle_digest(manifest) != found.archive.bundle_digest:
            raise BundleError(f"{folder}: its manifest is of another bundle than the one released; pull it again")
        return found

    def damages(self) -> list[str]:
        """One line for each changed or missing file."""
        found = [] if (self.folder / SIGNATURE).is_file() else [f"{SIGNATURE}: missing"]
        for name, file in sorted(self.archive.files.items()):
            path = self.folder / name
            if not path.exists() and not path.is_symlink():
                found.append(f"{name}: missing")
            elif path.is_symlink() or not path.is_file():
                found.append(f"{name}: not a plain file")
            elif path.stat().st_size != file.size or sha256_of(path) != file.sha256:
                found.append(f"{name}: changed (its sha256 is not the release's)")
        return found

    def strangers(self) -> list[str]:
        """One line for each file that was not signed, for a folder of nothing else one altogether."""
        known = {RELEASE, SIGNATURE, *self.archive.files}
        shared = {parent for name in known for parent in PurePosixPath(name).parents}
        found = set()
        for path in self.folder.rglob("*"):
            name = PurePosixPath(path.relative_to(self.folder).as_posix())
            if not _is_folder(path) and str(name) not in known:
                above = [parent for parent in name.parents if parent not in shared]
                found.add(f"{above[-1]}/" if above else str(name))
        return [f"{name}: not in the release" for name in sorted(found)]


def kept_before(folder: Path) -> Path:
    """Where the version before lies."""
    return folder.with_name(f"{folder.name}{_BEFORE}")


def pulled_into(into: Path) -> list[Path]:
    """The folders of all bundles below `into`, also of those of which nothing but the version before is left."""
    found = [path.parent.parent for path in into.glob(f"*/*/{RELEASE}")]
    return sorted({folder.with_name(folder.name.removesuffix(_BEFORE)) for folder in found})


def reports_in(folder: Path) -> list[str]:
    """The plain files among a bundle's reports by relative path, without what systems leave behind."""
    files = sorted(path for path in (folder / REPORTS).rglob("*") if path.is_file() and not path.is_symlink())
    return [name for path in files if not is_left_behind(name := path.relative_to(folder).as_posix())]


def is_worth_keeping(folder: Path, former: Installed | None) -> bool:
    """Whether what is in place may take the place of the version before: a release that is damaged is worth less."""
    return (folder / MANIFEST).is_file() and not (former and former.damages())


@contextmanager
def keeping_before(folder: Path, former: Installed | None) -> Iterator[None]:
    """Keeps a copy of what is in place for `roll_back`, without what lies beside it, in place of the one kept so far,
    which comes back where what follows fails. `former`: the release in place; None for a bundle that was built there.
    """
    before = kept_before(folder)
    with building(before) as copy:
        if former:
            _copy_files(folder, [RELEASE, SIGNATURE, *former.archive.files], copy)
        else:
            copy_contents(folder, copy, is_left_behind)
        swap = exchange if before.exists() else _move
        swap(copy, before)
        try:
            yield
        except BaseException:
            swap(before, copy)
            raise


def roll_back(folder: Path, keys: TrustedKeys) -> tuple[Installed | None, Installed]:
    """Exchanges a bundle with the version before it, which is verified first; gives what was in place and what is now.

    Raises NoSuchRelease where none was kept, and as `Installed.verified`.
    """
    before = kept_before(folder)
    with alone(folder):
        if not before.is_dir():
            raise NoSuchRelease(f"{folder}: no version before it was kept; the first `t3export pull` over another does")
        former = Installed.find(folder, Installed.verified(before, keys, alone=False).name)
        if folder.exists():
            exchange(before, folder)
        else:
            before.rename(folder)
        return former, Installed.verified(folder, keys, alone=False)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _copy_files(source: Path, names: Iterable[str], target: Path) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, target / name)


def _move(source: Path, target: Path) -> None:
    source.rename(target)
