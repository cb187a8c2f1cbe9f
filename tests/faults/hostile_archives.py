"""Archives made to escape, to overwrite or to swell, signed with the key that is trusted."""

from __future__ import annotations

import random
import shutil
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import zstandard

from exporter.errors import T3Error
from exporter.release import fetch
from exporter.release.names import WantedRelease
from exporter.release.pull import pull
from exporter.release.stores import FolderStore
from exporter.release.verified import verify
from tests.faults.damage import outcome
from tests.faults.fault import Attempt, Fault
from tests.faults.forge import compressed, honest, listed, member, write_forged
from tests.releasable import TRUSTED

MEMORY = 256 * 2**20
WRITTEN = 4 * 2**20
Forgery = Callable[[Path, random.Random], None]


def _name(rng: random.Random) -> str:
    return rng.choice(["run.sh", "denoiser/program.onnx", "a b"])


def _outside(store: Path, rng: random.Random) -> None:
    # Not so far up that a failure would write beyond this fault's own folder.
    up = "../" * rng.randrange(1, 5)
    name = rng.choice([f"{up}escaped", f"a/{up}escaped", f"a/../{up}escaped", "..", "a/.."])
    write_forged(store, [honest(name, b"escaped")])


def _absolute(store: Path, rng: random.Random) -> None:
    outside = store.parent / "escaped"
    name = rng.choice([str(outside), f"/{outside}", f"C:{outside}", "C:escaped", "\\escaped", f"a\\..{outside}"])
    write_forged(store, [honest(name, b"escaped")])


def _outside_by_bundle(store: Path, rng: random.Random) -> None:
    name = rng.choice(["../escaped", "toy/../../escaped", str(store.parent / "escaped"), ".."])
    write_forged(store, [honest("manifest.json", b"{}")], bundle=name)


def _outside_by_archive(store: Path, rng: random.Random) -> None:
    name = rng.choice(["../../secret", "/etc/hostname", "..", "a/../../b"])
    write_forged(store, [honest("manifest.json", b"{}")], file=name)


def _link(store: Path, rng: random.Random) -> None:
    name, kind = _name(rng), rng.choice([tarfile.SYMTYPE, tarfile.LNKTYPE])
    target = rng.choice(["/etc/passwd", "../../escaped", "manifest.json"])
    frame = compressed(member(name, b"", type=kind, linkname=target))
    write_forged(store, [listed(name, b"", frame)])


def _device(store: Path, rng: random.Random) -> None:
    name, kind = _name(rng), rng.choice([tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
    write_forged(store, [listed(name, b"", compressed(member(name, b"", type=kind)))])


def _another_path_inside(store: Path, rng: random.Random) -> None:
    """The index names one path and the archive another."""
    name = rng.choice(["../escaped", "/escaped", "other"])
    write_forged(store, [listed("a", b"x", compressed(member(name, b"x")))])


def _hidden_member(store: Path, rng: random.Random) -> None:
    """A second member, in the frame or behind it, that a plain tar would unpack."""
    first, second = member("a", b"x"), member("../escaped", b"x")
    frame = rng.choice([compressed(first, second), compressed(first + second)])
    write_forged(store, [listed("a", b"x", frame)])


def _twice(store: Path, rng: random.Random) -> None:
    name = _name(rng)
    write_forged(store, [honest(name, b"one"), honest(name, b"two")])


def _twice_on_some_systems(store: Path, rng: random.Random) -> None:
    one, other = rng.choice([("a", "A"), ("a", "a/b"), ("run.sh", "RUN.sh"), ("deep/A/x", "deep/a")])
    write_forged(store, [honest(name, b"x") for name in sorted((one, other))])


def _bomb(store: Path, rng: random.Random) -> None:
    """A gigabyte or more of zeros behind a size of some bytes."""
    claimed = rng.choice([0, 10, 2**20])
    head = tarfile.TarInfo("a")
    head.size, head.mtime, head.mode = claimed, 315532800, 0o644
    maker = zstandard.ZstdCompressor(level=1).compressobj()
    zeros = bytes(2**20)
    frame = maker.compress(head.tobuf(tarfile.PAX_FORMAT))
    frame += b"".join(maker.compress(zeros) for _ in range(rng.choice([64, 1024]))) + maker.flush()
    write_forged(store, [listed("a", bytes(claimed), frame)])


def _vast(store: Path, rng: random.Random) -> None:
    """An honest size that no disk has."""
    entry = honest("a", b"x")
    write_forged(store, [(entry[0], entry[1] | {"size": 2 ** rng.randrange(50, 62)}, entry[2])])


def _shorter(store: Path, rng: random.Random) -> None:
    frame = compressed(member("a", b"x" * rng.randrange(1000)))
    write_forged(store, [listed("a", b"x" * 1000, frame)])


def _another_content(store: Path, rng: random.Random) -> None:
    write_forged(store, [listed("a", b"as signed", compressed(member("a", rng.randbytes(9))))])


def _no_zstd(store: Path, rng: random.Random) -> None:
    whole = compressed(member("a", b"x" * 5000))
    frame = rng.choice(
        [rng.randbytes(200), whole[: rng.randrange(1, len(whole))], b"\x28\xb5\x2f\xfd" + rng.randbytes(50)]
    )
    write_forged(store, [listed("a", b"x" * 5000, frame)])


def _wide_window(store: Path, rng: random.Random) -> None:
    """A frame that asks for two gigabytes of memory to be unpacked."""
    parameters = zstandard.ZstdCompressionParameters(window_log=31, write_content_size=False)
    maker = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    frame = maker.compress(member("a", b"x" * 100)) + maker.flush()
    write_forged(store, [listed("a", b"x" * 100, frame)])


def _overlapping(store: Path, rng: random.Random) -> None:
    """Frames that lie over one another or beyond the end, so that little is stored and much unpacked."""
    name, entry, frame = honest("a", b"x" * 1000)
    part = entry["frame"] | {"offset": rng.choice([1, 2**40, len(frame)])}
    write_forged(store, [(name, entry | {"frame": part}, frame)])


FORGERIES: dict[str, Forgery] = {
    "path with ..": _outside,
    "absolute path": _absolute,
    "bundle named outside": _outside_by_bundle,
    "archive named outside": _outside_by_archive,
    "link": _link,
    "device, pipe or folder": _device,
    "another path than signed": _another_path_inside,
    "hidden member": _hidden_member,
    "duplicate name": _twice,
    "duplicate on some systems": _twice_on_some_systems,
    "bomb": _bomb,
    "size that no disk has": _vast,
    "shorter than signed": _shorter,
    "another content": _another_content,
    "no zstd": _no_zstd,
    "window of gigabytes": _wide_window,
    "overlapping frames": _overlapping,
}


def attempts(folder: Path, count: int, rng: random.Random) -> Iterator[Attempt]:
    store, into = folder / "deep/er/store", folder / "deep/er/pulled"
    write_forged(store, [honest("sub/a b", b"x")])
    assert _got_through(store, into) and verify(store, TRUSTED).files == 1, "but for its content, it is not forged"
    pause, fetch.FIRST_PAUSE = fetch.FIRST_PAUSE, 0.0
    try:
        for number in range(count):
            case, forge = list(FORGERIES.items())[number % len(FORGERIES)]
            for leftover in (store, into):
                shutil.rmtree(leftover, ignore_errors=True)
            forge(store, rng)
            yield Attempt(case, _blow(folder, store, into))
    finally:
        fetch.FIRST_PAUSE = pause


def _blow(folder: Path, store: Path, into: Path) -> str:
    process = psutil.Process()
    before = process.memory_info().rss
    lost = outcome(partial(pull, WantedRelease.parse("toy"), FolderStore(store), into, TRUSTED)) or outcome(
        partial(verify, store, TRUSTED)
    )
    if lost or _got_through(store, into):
        return lost or "unpacked, and refused for its lack of a manifest alone"
    if (grown := process.memory_info().rss - before) > MEMORY:
        return f"{grown >> 20} MB of memory"
    left = [path for path in into.rglob("*") if path.is_file() or path.is_symlink()]
    if any(path.is_symlink() for path in left) or (into / "toy/cpu").exists():
        return f"in place: {left}"
    if (written := sum(path.stat().st_size for path in left)) > WRITTEN:
        return f"{written} bytes written"
    strays = [path for path in folder.rglob("*") if path.is_file() and not {store, into} & set(path.parents)]
    return f"outside: {strays}" if strays else ""


def _got_through(store: Path, into: Path) -> bool:
    """Whether a pull gets as far as looking for the manifest, which no forgery has."""
    try:
        pull(WantedRelease.parse("toy"), FolderStore(store), into, TRUSTED)
    except T3Error as error:
        return "has no manifest.json" in str(error)
    return True


FAULT = Fault(
    "hostile-archives",
    "pulls and verifies a forged release that the trusted key signed; it is refused with a clean error, nothing is in "
    "place or outside its folder, no more than the signed size is written, and memory stays below 256 MB",
    510,
    attempts,
)
