"""The npm packages that a bundle's page imports, as files: the page opens without npm and without a network."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import exporter.runtime
from exporter.errors import EnvironmentProblem
from exporter.files.atomic import sha256_of
from exporter.files.cache import Cache
from exporter.machine.node import node_program

CLIENT = Path(exporter.runtime.__path__[0]) / "web"
PACKAGES = "packages"
_PINNED = ("package.json", "package-lock.json")
_COPY = "copy_packages.js"
_NPM_CI = ("ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--fetch-retries=1")
_LONGEST = 600


def add_packages(client: Path, cache: Cache, provider: str) -> None:
    """Write `packages/` into a bundle's client folder, in the versions that the client's lock pins, with what ONNX
    Runtime Web needs for an execution provider, "wasm" or "webgpu".

    They come from the client's own node_modules where these are installed, else from npm's registry, once. Raises
    EnvironmentProblem where neither Node.js nor npm is on this machine, or npm fails.
    """
    pinned = {name: sha256_of(CLIENT / name) for name in (*_PINNED, _COPY)}
    entry, _ = cache.get("fetch the page's packages", {**pinned, "provider": provider}, partial(_fetch, provider))
    (client / PACKAGES).mkdir()
    for path in sorted((entry.folder / PACKAGES).iterdir()):
        shutil.copyfile(path, client / PACKAGES / path.name)


def _fetch(provider: str, folder: Path) -> None:
    packages = folder / PACKAGES
    installed = CLIENT / "node_modules"
    if installed.is_dir():
        try:
            return _run("node", CLIENT / _COPY, installed, packages, provider)
        except EnvironmentProblem:
            # Installed for another version of the lock.
            shutil.rmtree(packages, ignore_errors=True)
    with tempfile.TemporaryDirectory() as fresh:
        for name in _PINNED:
            shutil.copyfile(CLIENT / name, Path(fresh, name))
        _run("npm", *_NPM_CI, "--prefix", fresh)
        _run("node", CLIENT / _COPY, Path(fresh, "node_modules"), packages, provider)


def _run(program: str, *arguments: str | Path) -> None:
    """Run a program of Node.js. Raises EnvironmentProblem that says why it is not there, or fails."""
    found, environment = node_program(program)
    try:
        subprocess.run(
            [found, *map(str, arguments)], env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=_LONGEST, check=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise EnvironmentProblem(f"{program} took over {_LONGEST // 60} minutes") from None
    except subprocess.CalledProcessError as error:
        raise EnvironmentProblem(f"{program} failed: {_reason(error.stderr)}") from None


def _reason(words: str) -> str:
    """The first line of what a program of Node.js wrote that names an error."""
    lines = [line.removeprefix("npm error ").strip() for line in words.splitlines() if line.strip()]
    return next((line for line in lines if "rror" in line and not line.startswith("code ")), (lines or ["no words"])[0])
