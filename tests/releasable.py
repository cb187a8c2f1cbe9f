"""A toy bundle with the proof that a release asks for, a key, and stores served from a folder."""

from __future__ import annotations

import gzip
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import onnx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exporter.manifest import bundle_digest, list_files, read_manifest, write_manifest
from exporter.release.keys import TrustedKeys
from exporter.release.minisign import PublicKey
from tests.toy_bundle import write_toy_bundle
from validate.ladder.report import Report, record_in_bundle
from validate.ladder.result import Figure, RungResult

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(32))
TRUSTED = TrustedKeys((PublicKey.of(KEY),), "the given keys")
DETAILS = {"evaluator": {"name": "judge"}, "views": {"text": "one view"}, "prompts": 8, "seeds": 1}
RATE = Figure("bundle", "R-Precision", "rate", 87.5, "%", where="among 8 captions, 95 % interval 52.9 to 97.8")
DROP = Figure("bundle", "R-Precision", "drop", 0.0, "points", 2.0, "at most", "from 87.5 to 87.5 %")
RECIPE = {"name": "toy", "validation": {"prompts": 8, "seeds": 1}}
QUALITY = RungResult("quality", "CLIP-R-Precision", (DROP, RATE), details=DETAILS)


def write_releasable(folder: Path, steps: int = 3, *, rungs: tuple[RungResult, ...] = (QUALITY,)) -> Path:
    """A toy bundle, its text encoder's table beside the program, with a passed validation; gives the folder."""
    write_toy_bundle(folder, steps=steps)
    program = folder / "text_encoder.onnx"
    options = {"save_as_external_data": True, "location": "text_encoder.data", "size_threshold": 0}
    onnx.save_model(onnx.load(program), program, **options)
    manifest = read_manifest(folder)
    stage = manifest.stages["text_encoder"].model_copy(update={"external_data": ["text_encoder.data"]})
    stages = manifest.stages | {"text_encoder": stage}
    update = {"recipe": RECIPE, "stages": stages, "files": list_files(folder)}
    write_manifest(folder, manifest.model_copy(update=update))
    record(folder, *rungs)
    return folder


def record(folder: Path, *rungs: RungResult) -> None:
    """Puts a validation with these rungs into a bundle."""
    manifest = read_manifest(folder)
    weights = manifest.weights.model_dump()
    report = Report("toy", bundle_digest(manifest), "toy", "0", weights, "cpu", {}, rungs, machine={})
    record_in_bundle(report, folder)


class _Server(ThreadingHTTPServer):
    """`requests`: path and range of each; `broken_after`: bytes of an archive until the connection breaks, once.

    `token`: what is asked for, where it is not empty; `elsewhere`: a URL that archives are redirected to; `gzips`:
    everything that is sent, and `has_page`: a page to log in stands for every file.
    """

    requests: list[tuple[str, str | None]]
    broken_after: int | None = None
    has_ranges = True
    token = ""
    elsewhere = ""
    gzips = False
    has_page = False


class _Handler(SimpleHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.requests.append((self.path, asked))
        path = Path(self.translate_path(self.path))
        if self.headers.get("Authorization", "") != (f"Bearer {self.server.token}" if self.server.token else ""):
            self.send_error(401)
            return
        if self.server.elsewhere and path.suffix == ".zst":
            self.send_response(302)
            self.send_header("Location", self.server.elsewhere + self.path)
            self.end_headers()
            return
        if not path.is_file():
            self.send_error(404)
            return
        content = b"<html>Log in</html>" if self.server.has_page else path.read_bytes()
        if self.server.gzips:
            content = gzip.compress(content)
        start, end = 0, len(content)
        if asked and self.server.has_ranges:
            first, last = re.fullmatch(r"bytes=(\d+)-(\d*)", asked).groups()
            start, end = int(first), min(int(last) + 1, end) if last else end
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(end - start))
        if self.server.gzips:
            self.send_header("Content-Encoding", "gzip")
        if self.server.has_page:
            self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        piece = content[start:end]
        if self.server.broken_after is not None and path.suffix == ".zst":
            piece, self.server.broken_after = piece[: self.server.broken_after], None
            self.close_connection = True
        self.wfile.write(piece)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, _Server]]:
    """The URL of a folder on a local server that knows ranges, and the server."""
    with _Server(("127.0.0.1", 0), partial(_Handler, directory=str(folder))) as server:
        server.requests = []
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", server
        finally:
            server.shutdown()
            thread.join()
