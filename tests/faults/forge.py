"""Releases that a publisher with the right key, but bad intent, could sign."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import zstandard

from exporter.release.archive import TIME
from exporter.release.minisign import sign
from exporter.release.signed import write_index
from exporter.release.statement import Index, Listed
from tests.releasable import KEY


def member(name: str, content: bytes, **changes: Any) -> bytes:
    """A tar member as `write_archive` writes it, but for the changes of its header."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = len(content), TIME, 0o644
    for field, value in changes.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.PAX_FORMAT) + content + bytes(-len(content) % 512)


def compressed(*members: bytes, level: int = 1) -> bytes:
    """One frame a member, one after the other."""
    return b"".join(zstandard.ZstdCompressor(level=level).compress(one) for one in members)


def listed(name: str, content: bytes, frame: bytes, **changes: Any) -> tuple[str, dict[str, Any], bytes]:
    """A file of a release: its path, its entry but for the offset, and its frame."""
    part = {"size": len(frame), "sha256": _sha256(frame)}
    entry = {"sha256": _sha256(content), "size": len(content), "executable": False, "frame": part}
    return name, entry | changes, frame


def honest(name: str, content: bytes) -> tuple[str, dict[str, Any], bytes]:
    """A file as an honest release has it."""
    return listed(name, content, compressed(member(name, content)))


def write_forged(
    store: Path, files: list[tuple[str, dict[str, Any], bytes]], bundle: str = "toy/cpu", **changes: Any
) -> None:
    """A store with one release, toy 1.0.0, of these files; signed, listed, and consistent in every digest.

    `changes`: other values of the archive's entry. A path that comes twice is written twice into the JSON.
    """
    archive, entries, offset = b"", [], 0
    for name, entry, frame in files:
        place = {"offset": offset} | entry["frame"]
        entries.append((name, entry | {"frame": place}))
        archive, offset = archive + frame, offset + len(frame)
    archive += compressed(bytes(1024))
    part = {"file": "toy.tar.zst", "sha256": _sha256(archive), "size": len(archive)}
    part |= {"bundle_digest": "0" * 64, "target": "cpu", "files": {}} | changes
    release = {"schema_version": 1, "name": "toy", "version": "1.0.0", "bundles": {bundle: part}, "documents": {}}
    text = json.dumps(release, indent=1, sort_keys=True, ensure_ascii=False)
    text = text.replace('"files": {}', '"files": {' + ",".join(_pair(*pair) for pair in entries) + "}", 1)
    content = _canonical(text)
    folder = store / "toy-1.0.0"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "toy.tar.zst").write_bytes(archive)
    (folder / "release.json").write_bytes(content)
    (folder / "release.json.minisig").write_text(sign(KEY, content, "t3export release toy 1.0.0"))
    entry = Listed(release_sha256=_sha256(content))
    index = Index.model_construct(revision=1, releases={"toy": {"1.0.0": entry}}, channels={"toy": {"stable": "1.0.0"}})
    write_index(store, index, KEY)


def _pair(name: str, entry: dict[str, Any]) -> str:
    return f"{json.dumps(name, ensure_ascii=False)}: {json.dumps(entry)}"


def _canonical(text: str) -> bytes:
    """As `rendered` writes it, where no field is there twice."""
    pairs: list[Any] = []
    data = json.loads(text, object_pairs_hook=lambda found: pairs.append(len(found)) or dict(found))
    plain = f"{json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False)}\n"
    return (text if sum(pairs) != _fields(data) else plain).encode()


def _fields(data: Any) -> int:
    return len(data) + sum(_fields(value) for value in data.values()) if isinstance(data, dict) else 0


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
