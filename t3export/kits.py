"""What is left to do with a bundle whose engines are built on the device, in commands that can be copied."""

from __future__ import annotations

import shlex
from pathlib import Path

from exporter.manifest import Manifest


def to_do(folder: Path, manifest: Manifest) -> list[str]:
    """Lines that say where the engines are to be built, how the bundle gets there, and what to run."""
    there = manifest.name.replace("/", "_")
    devices = [need["name"] for need in manifest.target["needs"] if need["kind"] == "device"]
    assert manifest.engines is not None
    with_us, without_us = manifest.engines.run
    here = shlex.quote(str(folder))
    return [
        f"engines: {manifest.engines.state} ({', '.join(devices)})",
        f"  copy it there      rsync -a {here}/ DEVICE:{there}/",
        "  it needs there     TensorRT for Python, and t3export as a wheel: README.md in the folder has the commands",
        f"  there              cd {there} && {with_us}",
        f"  without t3export   cd {there} && {without_us}   (TensorRT 10.3 or newer, Python and numpy)",
        f"  meanwhile, here    t3export validate {here} --on onnxruntime   (the same programs on ONNX Runtime)",
    ]
