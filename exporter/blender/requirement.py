"""What Blender's Python needs to run a bundle: the distribution for apps, with the extras that the bundle asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from exporter.manifest import Manifest
from exporter.pipeline.inputs import TextInput
from exporter.runtime.inputs.byte_pairs import is_clips

PACKAGE = "t3export_runtime"
# By backend, the extra that runs it and the module by which that is known to be installed.
RUNTIMES = {"onnxruntime": ("cpu", "onnxruntime"), "openvino": ("openvino", "openvino")}
_MODULES = {"mesh": "xatlas", "tokenizers": "tokenizers", "clean": "ftfy"}


def requirement(folder: Path, manifest: Manifest, version: str) -> str:
    """What pip is to install for it; of a source tree that is not installed the newest."""
    pinned = f"=={version}" if version[:1].isdigit() else ""
    runtime, _ = RUNTIMES[manifest.target["backend"]]
    return f"t3export-runtime[{','.join([runtime, *_extras(folder, manifest)])}]{pinned}"


def modules(folder: Path, manifest: Manifest) -> list[str]:
    """Those by which it is known that all of it is installed."""
    _, runtime = RUNTIMES[manifest.target["backend"]]
    return [PACKAGE, runtime, *(_MODULES[extra] for extra in _extras(folder, manifest))]


def _extras(folder: Path, manifest: Manifest) -> Iterator[str]:
    yield "mesh"
    texts = [source for source in manifest.inputs.values() if isinstance(source, TextInput)]
    if not all(is_clips(json.loads((folder / text.file).read_bytes())) for text in texts):
        yield "tokenizers"
    if any(text.clean != "none" for text in texts):
        yield "clean"
