"""The container of binary glTF: a tree as JSON, and the bytes of its buffer (glTF 2.0, chapter 4)."""

from __future__ import annotations

import json
import struct
from typing import Any

MAGIC, VERSION, JSON_CHUNK, BINARY_CHUNK = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
_HEADER, _CHUNK = struct.Struct("<III"), struct.Struct("<II")


def pack_glb(tree: dict[str, Any], binary: bytes) -> bytes:
    """A file of a tree and of its first buffer."""
    chunks = b""
    text = json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()
    for kind, content, padding in ((JSON_CHUNK, text, b" "), (BINARY_CHUNK, binary, b"\0")):
        content += padding * (-len(content) % 4)
        chunks += _CHUNK.pack(len(content), kind) + content
    return _HEADER.pack(MAGIC, VERSION, _HEADER.size + len(chunks)) + chunks


def unpack_glb(glb: bytes) -> tuple[dict[str, Any], bytes]:
    """The tree and the first buffer of a file that `pack_glb` or trimesh wrote."""
    start = _HEADER.size + _CHUNK.size
    length, _ = _CHUNK.unpack_from(glb, _HEADER.size)
    return json.loads(glb[start : start + length]), glb[start + length + _CHUNK.size :]
