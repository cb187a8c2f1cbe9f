"""Files of a release brought into a folder, each verified before it is used; what is there already is not fetched.

A file lands in the staging folder under its digest: `DIGEST.part` while its frame is coming, `DIGEST` when it is whole.
An interrupted fetch goes on where it was, in the middle of a file too.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from exporter.errors import BundleError, EnvironmentProblem
from exporter.files.atomic import sha256_of
from exporter.release.archive import unpack
from exporter.release.installed import Installed
from exporter.release.release_errors import StoreUnreachable
from exporter.release.statement import ReleasedFile
from exporter.release.stores import Store, read_some

ATTEMPTS = 4
FIRST_PAUSE = 0.5
OnBytes = Callable[[int, int], None]


@dataclass(frozen=True)
class Fetched:
    """What a fetch cost: bytes that came over the wire and files that they were, and files that were here already."""

    bytes: int
    files: int
    reused: int


@dataclass
class Staging:
    """The staging folder of one bundle of one release, whose archive lies at `archive` in the store."""

    folder: Path
    store: Store
    archive: str
    files: dict[str, ReleasedFile]
    on_bytes: OnBytes = lambda done, total: None
    _came: int = field(default=0, init=False)
    _total: int = field(default=0, init=False)

    def place(self, file: ReleasedFile) -> Path:
        """Where a whole file lies."""
        return self.folder / file.sha256

    def fill(self, here: Iterable[Installed], room_besides: int = 0) -> Fetched:
        """Every file into the folder. Raises BundleError for bytes that are not those signed, StoreProblem.

        `here`: bundles whose files are copied where their digests fit. `room_besides`: bytes that will be needed on the
        same disk for something else. A connection that breaks is tried again as long as anything comes.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._require_room(room_besides)
        reused = self._reuse(here)
        wanted = left = self._missing()
        self._total = sum(file.frame.size - self._begun(file) for _, file in wanted)
        attempts = 0
        while left:
            before = self._came
            try:
                for run in self._runs(left):
                    self._fetch(run)
            except StoreUnreachable:
                attempts = 1 if self._came > before else attempts + 1
                if attempts == ATTEMPTS:
                    raise
                time.sleep(FIRST_PAUSE * 2 ** (attempts - 1))
            left = self._missing()
        return Fetched(self._came, len(wanted), reused)

    def give(self, folder: Path) -> None:
        """Moves every file to its name in a folder beside the staging one; a content of two names is copied."""
        uses = Counter(file.sha256 for file in self.files.values())
        for name, file in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            uses[file.sha256] -= 1
            if uses[file.sha256]:
                shutil.copyfile(self.place(file), path)
            else:
                self.place(file).replace(path)
            if file.executable:
                path.chmod(path.stat().st_mode | 0o111)

    def _reuse(self, here: Iterable[Installed]) -> int:
        candidates = {file.sha256: one.folder / name for one in here for name, file in one.archive.files.items()}
        reused = set()
        for file in self.files.values():
            place, source = self.place(file), candidates.get(file.sha256)
            if not _is(place, file) and source and _is(source, file):
                shutil.copyfile(source, place)
            if _is(place, file):
                reused.add(file.sha256)
        return sum(file.sha256 in reused for file in self.files.values())

    def _missing(self) -> list[tuple[str, ReleasedFile]]:
        """Files that are not here, by their place in the archive; of equal ones the first alone."""
        first: dict[str, tuple[str, ReleasedFile]] = {}
        for name, file in sorted(self.files.items(), key=lambda item: item[1].frame.offset):
            if not self.place(file).exists():
                first.setdefault(file.sha256, (name, file))
        return list(first.values())

    def _runs(self, wanted: Sequence[tuple[str, ReleasedFile]]) -> list[list[tuple[str, ReleasedFile]]]:
        """Files whose missing bytes follow one another: one request each."""
        runs: list[list[tuple[str, ReleasedFile]]] = []
        for name, file in wanted:
            if runs and not self._begun(file) and runs[-1][-1][1].frame.end == file.frame.offset:
                runs[-1].append((name, file))
            else:
                runs.append([(name, file)])
        return runs

    def _begun(self, file: ReleasedFile) -> int:
        """Bytes of its frame that are here."""
        part = self._part(file)
        if part.exists() and part.stat().st_size > file.frame.size:
            part.unlink()
        return part.stat().st_size if part.exists() else 0

    def _part(self, file: ReleasedFile) -> Path:
        return self.folder / f"{file.frame.sha256}.part"

    def _fetch(self, run: list[tuple[str, ReleasedFile]]) -> None:
        start, end = run[0][1].frame.offset + self._begun(run[0][1]), run[-1][1].frame.end
        # A process that was killed before it unpacked leaves a run whose bytes are all here.
        with self.store.open(self.archive, start, end) if start < end else nullcontext(BytesIO()) as stream:
            for name, file in run:
                self._receive(stream, file)
                self._unpack(name, file)

    def _receive(self, stream: BinaryIO, file: ReleasedFile) -> None:
        left = file.frame.size - self._begun(file)
        with self._part(file).open("ab") as part:
            while left:
                piece = read_some(stream, left, self.archive)
                part.write(piece)
                left -= len(piece)
                self._came += len(piece)
                self.on_bytes(self._came, self._total)

    def _unpack(self, name: str, file: ReleasedFile) -> None:
        part, opened = self._part(file), self.folder / f"{file.sha256}.open"
        try:
            if sha256_of(part) != file.frame.sha256:
                raise BundleError(
                    f"{self.archive}: {name}: these bytes are not those that were signed; nothing of them was used"
                )
            with part.open("rb") as frame, opened.open("wb") as into:
                unpack(frame, name, file, into)
        except BundleError:
            opened.unlink(missing_ok=True)
            raise
        finally:
            part.unlink(missing_ok=True)
        opened.replace(self.place(file))

    def _require_room(self, besides: int) -> None:
        whole = sum(file.size for file in self.files.values())
        places = {self.place(file) for file in self.files.values()}
        staged = sum(place.stat().st_size for place in places if place.exists())
        largest_frame = max((file.frame.size - self._begun(file) for _, file in self._missing()), default=0)
        needed = whole - staged + largest_frame + besides
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise EnvironmentProblem(
                f"{self.folder}: {needed / 1e9:.2f} GB are needed and {free / 1e9:.2f} GB free; nothing was fetched"
            )


def _is(path: Path, file: ReleasedFile) -> bool:
    plain = path.is_file() and not path.is_symlink()
    return plain and path.stat().st_size == file.size and sha256_of(path) == file.sha256
