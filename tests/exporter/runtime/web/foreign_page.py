"""The page of a bundle whose programs are small: what is about the page alone needs no model, and no build."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from exporter.manifest import list_files, read_manifest, write_manifest
from tests.exporter.runtime.web.foreign_bundle import write_foreign_bundle
from tests.node import CLIENT, node

PACKAGES = CLIENT / "node_modules"


def write_foreign_page(folder: Path) -> Path:
    """Writes the foreign bundle with the client and its packages, and gives its folder."""
    write_foreign_bundle(folder)
    client = shutil.copytree(CLIENT, folder / "client", ignore=shutil.ignore_patterns("node_modules"))
    subprocess.run([node(), CLIENT / "copy_packages.js", PACKAGES, client / "packages"], check=True)
    rewrite(folder)
    return folder


def rewrite(folder: Path, **changes: object) -> None:
    """Puts another manifest over the files that are there now."""
    write_manifest(folder, read_manifest(folder).model_copy(update={**changes, "files": list_files(folder)}))
