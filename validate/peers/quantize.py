"""Programs through a peer: one process a program, in the peer's environment."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from exporter.errors import T3Error
from exporter.files.atomic import sha256_of
from exporter.files.cache import Cache
from exporter.graphs.program_files import PROGRAM
from validate.peers.environment import environment, last_words
from validate.peers.files import copy_program, files_of
from validate.peers.peer import SCRIPTS, Peer

SECONDS = 3600
_NO_TELEMETRY = ("HF_HUB_DISABLE_TELEMETRY", "OLIVE_DISABLE_TELEMETRY", "ORT_DISABLE_TELEMETRY")
# NNCF asks for this variable before it sends anything to its makers.
_QUIET = {"HF_HUB_OFFLINE": "1", "NNCF_CI": "1", **dict.fromkeys(_NO_TELEMETRY, "1")}


class PeerFailed(T3Error):
    """A peer could not quantize a program."""


def quantize(peer: Peer, program: Path, shards: Sequence[Path], cache: Cache) -> Path:
    """The program that a peer makes of a float32 one, from the cache where it was made before.

    Raises PeerFailed with the peer's last words, EnvironmentProblem where it cannot be installed.
    """
    inputs = {
        "install": peer.install,
        "scripts": [sha256_of(SCRIPTS / name) for name in (peer.script, "recorded.py")],
        "program": [sha256_of(path) for path in files_of(program)],
        "shards": [sha256_of(path) for path in shards],
    }
    entry, _ = cache.get(f"peer {peer.name}", inputs, lambda folder: _run(peer, program, shards, cache, folder))
    return entry.folder / PROGRAM


def _run(peer: Peer, program: Path, shards: Sequence[Path], cache: Cache, folder: Path) -> None:
    """In a folder of its own: peers leave files beside the program they are given."""
    python = environment(peer.install, cache.folder)
    given = copy_program(program, folder / "given")
    command = [str(python), "-E", str(SCRIPTS / peer.script), str(given), str(folder / PROGRAM), *map(str, shards)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=SECONDS, env=os.environ | _QUIET, cwd=folder
        )
    except subprocess.TimeoutExpired:
        raise PeerFailed(f"not done after {SECONDS} s") from None
    if done.returncode or not (folder / PROGRAM).is_file():
        raise PeerFailed(last_words(done.stderr))
    shutil.rmtree(given.parent)
