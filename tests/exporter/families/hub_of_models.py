"""As much of the Hugging Face hub as a download of a model needs: what a revision has, and its files."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

OTHER_BRANCHES = ("main", "refs/pr/8")


class _Hub(BaseHTTPRequestHandler):
    def __init__(self, name: str, folder: Path, commit: str, downloads: list[str], *args: object) -> None:
        self.name, self.folder, self.commit, self.downloads = name, folder, commit, downloads
        super().__init__(*args)  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.replace("%2F", "/").partition("?")[0]
        api, file = f"/api/models/{self.name}", f"/{self.name}/resolve/{self.commit}/"
        if path in (api, *(f"{api}/revision/{branch}" for branch in (*OTHER_BRANCHES, self.commit))):
            names = sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file())
            data = {"id": self.name, "sha": self.commit, "siblings": [{"rfilename": name} for name in names]}
            return self._answer(json.dumps(data).encode())
        if path.startswith(f"{api}/revision/"):
            return self._answer(b"{}", 404, "RevisionNotFound")
        if path.startswith(file) and (found := self.folder / path.removeprefix(file)).is_file():
            if self.command == "GET":
                self.downloads.append(path.removeprefix(file))
            return self._answer(found.read_bytes())
        return self._answer(b"{}", 404, "EntryNotFound" if path.startswith(file) else "RepoNotFound")

    def _answer(self, body: bytes, status: int = 200, error: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", self.commit)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        if error:
            self.send_header("X-Error-Code", error)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(name: str, folder: Path, commit: str) -> Iterator[tuple[str, list[str]]]:
    """Its address, and the files that were downloaded so far."""
    downloads: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Hub, name, folder, commit, downloads))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", downloads
    finally:
        server.shutdown()
        server.server_close()
