"""A server in a process of its own, with a folder of its own for temporary files."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
SECONDS = 600


@dataclass(frozen=True)
class ServedProcess:
    """`temporary`: where whatever it or its libraries put on a disk would lie."""

    process: subprocess.Popen[str]
    address: str
    temporary: Path

    def connect(self) -> http.client.HTTPConnection:
        """A new connection to it."""
        place = urlsplit(self.address)
        return http.client.HTTPConnection(place.hostname or "", place.port, timeout=SECONDS)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content of an answer; a body is posted as JSON."""
        connection = self.connect()
        try:
            content = None if body is None else json.dumps(body)
            headers = {"Content-Type": "application/json"} if content else {}
            connection.request("GET" if content is None else "POST", path, content, headers)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def health(self) -> dict[str, Any]:
        """What it says of itself."""
        found: dict[str, Any] = json.loads(self.ask("/v1/health")[2])
        return found


@contextmanager
def served(bundle: Path, folder: Path, *options: str) -> Iterator[ServedProcess]:
    """A server of a bundle that listens; its errors go to server.log in `folder`."""
    temporary = folder / "temporary"
    temporary.mkdir(parents=True)
    command = [sys.executable, "-m", "t3export", "serve", str(bundle), "--port", "0", "--json", *options]
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        told = ""
        while not told.rstrip().endswith("}"):
            line = process.stdout.readline()
            assert line, (folder / "server.log").read_text()
            told += line
        yield ServedProcess(process, json.loads(told)["url"], temporary)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
