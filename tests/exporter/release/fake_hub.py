"""As much of the Hugging Face hub's API as a push needs: repositories, commits, tags, LFS uploads, and reading back."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_" + "x" * 34
LARGE = (".zst", ".data")


@dataclass
class Repository:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)


class _Hub(ThreadingHTTPServer):
    repositories: dict[str, Repository]
    large: dict[str, bytes]
    url: str


class _Handler(BaseHTTPRequestHandler):
    server: _Hub

    def do_POST(self) -> None:
        body = self._body()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer({"error": "Invalid credentials"}, 401)
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            made = self.server.repositories.setdefault(name, Repository(_is_private(asked)))
            return self._answer({"url": f"{self.server.url}/{name}", "private": made.private})
        if self.path == "/api/validate-yaml":
            return self._answer({"errors": [], "warnings": []})
        if self.path.endswith(".git/info/lfs/objects/batch"):
            return self._answer({"transfer": "basic", "objects": [self._slot(o) for o in json.loads(body)["objects"]]})
        _, _, _, owner, name, what, *_ = self.path.split("/")
        repository = self.server.repositories[f"{owner}/{name}"]
        if what == "preupload":
            modes = [(f["path"], "lfs" if f["path"].endswith(LARGE) else "regular") for f in json.loads(body)["files"]]
            return self._answer({"files": [{"path": p, "uploadMode": m, "shouldIgnore": False} for p, m in modes]})
        if what == "commit":
            return self._commit(repository, body)
        if what == "tag":
            repository.tags[json.loads(body)["tag"]] = repository.commits[-1]
            return self._answer({})
        return self._answer({"error": self.path}, 404)

    def do_PUT(self) -> None:
        self.server.large[self.path.rsplit("/", 1)[1]] = self._body()
        self._answer({})

    def do_GET(self) -> None:
        _, owner, name, _, _, *path = self.path.split("/")
        found = self.server.repositories.get(f"{owner}/{name}", Repository(False)).files.get("/".join(path))
        self.send_response(200 if found is not None else 404)
        self.send_header("Content-Length", str(len(found or b"")))
        self.end_headers()
        self.wfile.write(found or b"")

    def _commit(self, repository: Repository, body: bytes) -> None:
        lines = [json.loads(line) for line in body.splitlines()]
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            if line["key"] == "lfsFile":
                repository.files[value["path"]] = self.server.large[value["oid"]]
        repository.commits.append(hashlib.sha1(body).hexdigest())
        self._answer(
            {"commitUrl": f"{self.server.url}/x/y/commit/1", "commitOid": repository.commits[-1], "success": True}
        )

    def _slot(self, wanted: dict) -> dict:
        upload = {"href": f"{self.server.url}/upload/{wanted['oid']}", "header": {}}
        return wanted | {"actions": {"upload": upload}}

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _answer(self, data: dict, status: int = 200) -> None:
        content = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


def _is_private(asked: dict) -> bool:
    return asked.get("visibility") == "private" or bool(asked.get("private"))


@contextmanager
def fake_hub() -> Iterator[_Hub]:
    """A hub on this machine; `url` is its endpoint."""
    with _Hub(("127.0.0.1", 0), _Handler) as server:
        server.repositories, server.large = {}, {}
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
