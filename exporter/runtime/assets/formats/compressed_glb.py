"""Binary glTF in a fraction of the bytes: quantized (KHR_mesh_quantization), then EXT_meshopt_compression."""

from __future__ import annotations

from typing import Any

import numpy as np

from exporter.runtime.assets.formats.glb import to_glb
from exporter.runtime.assets.formats.glb_container import pack_glb, unpack_glb
from exporter.runtime.assets.label import Label
from exporter.runtime.assets.optional import optional
from exporter.runtime.assets.placing import Placed

QUANTIZED, COMPRESSED = "KHR_mesh_quantization", "EXT_meshopt_compression"
# Directions in 8 bits are off by a third of a degree; the others have as many as their kind allows.
TYPES: dict[str, type[np.integer[Any]]] = {
    "POSITION": np.uint16,
    "NORMAL": np.int8,
    "TANGENT": np.int8,
    "TEXCOORD_0": np.uint16,
    "COLOR_0": np.uint16,
    "_COLOR_0": np.uint16,
}
COMPONENTS = {np.dtype(np.int8): 5120, np.dtype(np.uint16): 5123, np.dtype(np.uint32): 5125}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
READ = {5125: "<u4", 5126: "<f4"}
VERTICES, INDICES = 34962, 34963


def to_compressed_glb(placed: Placed, label: Label | None, name: str) -> dict[str, bytes]:
    """The file of `to_glb`, compressed as the two extensions' specifications say; its pictures stay as they are.

    Positions are off by at most 1/131070 of the longest side. Raises EnvironmentProblem where meshopt is missing.
    """
    tree, binary = unpack_glb(to_glb(placed, label, name)[name])
    return {name: pack_glb(*_compressed(tree, binary))}


def _compressed(tree: dict[str, Any], binary: bytes) -> tuple[dict[str, Any], bytes]:
    """A tree of one mesh of one primitive, and its buffer."""
    (node,) = (node for node in tree["nodes"] if "mesh" in node)
    (primitive,) = tree["meshes"][node["mesh"]]["primitives"]
    named = {name: _read(tree, binary, index) for name, index in primitive["attributes"].items()}
    faces = _read(tree, binary, primitive["indices"]).reshape(-1)
    indices, place_of, used = optional("meshopt").reorder_mesh(faces, triangles=True, optsize=True)
    order = np.argsort(place_of)[:used]
    out = _Buffers()
    for image in tree.get("images", ()):
        image["bufferView"] = out.add_plain(_bytes_of(tree["bufferViews"][image["bufferView"]], binary))
    accessors = []
    for name, values in named.items():
        quantized = values[order]
        if name == "POSITION":
            low, step = values.min(axis=0), float(np.ptp(values, axis=0).max()) / np.iinfo(np.uint16).max
            # What makes metres of the integers again.
            node |= {"translation": low.tolist(), "scale": [step] * 3}
            quantized = (quantized - low) / step
        else:
            quantized = quantized * np.iinfo(TYPES[name]).max
        quantized = np.round(quantized).astype(TYPES[name])
        accessor = {
            "bufferView": out.add_rows(quantized),
            "componentType": COMPONENTS[quantized.dtype],
            "count": used,
            "type": f"VEC{quantized.shape[1]}",
        }
        bounds = {"min": quantized.min(axis=0).tolist(), "max": quantized.max(axis=0).tolist()}
        accessors.append(accessor | (bounds if name == "POSITION" else {"normalized": True}))
    narrow = indices.astype(np.uint16 if used <= np.iinfo(np.uint16).max else np.uint32)
    accessors.append({"bufferView": out.add_triangles(narrow), "componentType": COMPONENTS[narrow.dtype],
                      "count": len(narrow), "type": "SCALAR"})  # fmt: skip
    primitive["attributes"] = {name: index for index, name in enumerate(named)}
    primitive["indices"] = len(named)
    extensions = [QUANTIZED, COMPRESSED]
    tree |= {"accessors": accessors, "bufferViews": out.views, "buffers": out.buffers()}
    tree |= {"extensionsUsed": extensions, "extensionsRequired": extensions}
    return tree, bytes(out.stored)


def _read(tree: dict[str, Any], binary: bytes, index: int) -> np.ndarray:
    """The array [count, columns] of an accessor, as trimesh packs it."""
    accessor = tree["accessors"][index]
    data = _bytes_of(tree["bufferViews"][accessor["bufferView"]], binary)[accessor.get("byteOffset", 0) :]
    columns = WIDTHS[accessor["type"]]
    return np.frombuffer(data, READ[accessor["componentType"]], accessor["count"] * columns).reshape(-1, columns)


def _bytes_of(view: dict[str, Any], binary: bytes) -> bytes:
    start = view.get("byteOffset", 0)
    return binary[start : start + view["byteLength"]]


class _Buffers:
    """What is stored, and the buffer without bytes that a reader unpacks it into."""

    def __init__(self) -> None:
        self.stored, self.unpacked = bytearray(), 0
        self.views: list[dict[str, Any]] = []

    def add_plain(self, content: bytes) -> int:
        self.views.append({"buffer": 0} | self._store(content))
        return len(self.views) - 1

    def add_rows(self, rows: np.ndarray) -> int:
        """Each row filled up to a multiple of four bytes."""
        fill = -rows.shape[1] % (4 // rows.itemsize)
        rows = np.pad(rows, ((0, 0), (0, fill)))
        stride = rows.shape[1] * rows.itemsize
        return self._add(rows, stride, "ATTRIBUTES", {"byteStride": stride, "target": VERTICES})

    def add_triangles(self, indices: np.ndarray) -> int:
        return self._add(indices, indices.itemsize, "TRIANGLES", {"target": INDICES})

    def _add(self, data: np.ndarray, stride: int, mode: str, view: dict[str, Any]) -> int:
        stored = self._store(optional("meshopt").encode_gltf_buffer(data, mode))
        packed = {"buffer": 0, **stored, "byteStride": stride, "count": len(data), "mode": mode}
        place = {"buffer": 1, "byteOffset": self.unpacked, "byteLength": data.nbytes}
        self.views.append(place | view | {"extensions": {COMPRESSED: packed}})
        self.unpacked += data.nbytes + -data.nbytes % 4
        return len(self.views) - 1

    def _store(self, content: bytes) -> dict[str, int]:
        start = len(self.stored)
        self.stored += content + b"\0" * (-len(content) % 4)
        return {"byteOffset": start, "byteLength": len(content)}

    def buffers(self) -> list[dict[str, Any]]:
        """Both, as a tree lists them."""
        fallback = {"byteLength": self.unpacked, "extensions": {COMPRESSED: {"fallback": True}}}
        return [{"byteLength": len(self.stored)}, fallback]
