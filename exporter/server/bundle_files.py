"""The files of a `web` bundle over HTTP: those that its manifest lists, and the packages that its client imports."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePath

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from exporter.errors import BundleError
from exporter.manifest import MANIFEST, Manifest
from exporter.server.host_names import known_hosts_only
from exporter.server.response_headers import ResponseHeaders

CLIENT = "client"
PAGE = f"{CLIENT}/index.html"
# What `npm ci` adds to a client that was built without its packages.
COPIES, PACKAGES = f"{CLIENT}/packages", f"{CLIENT}/node_modules"
# With these two a page may share memory between threads; the third lets pages under the same rule load what is here.
ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}
# Not the system's table: browsers run no module and stream no WebAssembly under another type.
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".glb": "model/gltf-binary",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/vnd.microsoft.icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
}


class BundleFiles(StaticFiles):
    """Serves what a bundle is made of, and nothing that lies beside it."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        # A listed file may be a link, as in a store of models; what it leads to was compared with its digest.
        super().__init__(directory=folder, follow_symlink=True, html=True)
        self.listed = {MANIFEST, *manifest.files}
        self.folder = folder
        self.added = [f"{COPIES}/", *(f"{PACKAGES}/{package}/" for package in imported_packages(folder))]

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """The file of a path within the folder, or the folder of the page; none where it is not served."""
        name = PurePath(path).as_posix()
        served = name in self.listed or self._is_added(name) or (name == CLIENT and PAGE in self.listed)
        return super().lookup_path(path) if served else ("", None)

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """The file under the type that browsers expect."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["content-type"] = MEDIA_TYPES.get(Path(full_path).suffix.lower(), "application/octet-stream")
        return response

    def _is_added(self, name: str) -> bool:
        """Whether npm put it there, and it is no link to elsewhere."""
        if not name.startswith(tuple(self.added)):
            return False
        top = self.folder / PurePath(*PurePath(name).parts[:2])
        return (self.folder / name).resolve().is_relative_to(top.resolve())


def imported_packages(folder: Path) -> list[str]:
    """The packages that the client of a bundle imports, by its package.json. Raises BundleError where it has none."""
    path = folder / CLIENT / "package.json"
    try:
        return list(json.loads(path.read_bytes()).get("dependencies", {}))
    except (OSError, ValueError, AttributeError) as error:
        raise BundleError(
            f"{path}: the client of this bundle cannot be read ({error}); build the bundle again"
        ) from None


def files_app(folder: Path, manifest: Manifest, hosts: list[str]) -> Starlette:
    """The application that serves a `web` bundle; `hosts`: the names that it answers to, none for any.

    Raises BundleError for a bundle of another target, or without a client.
    """
    if f"{CLIENT}/package.json" not in manifest.files:
        raise BundleError(
            f"{folder}: a bundle of the target {manifest.target['name']} has no page; build one with --target web, or "
            "let this one make files for others: t3export serve --api"
        )

    async def first(request: Request) -> Response:
        if PAGE not in manifest.files:
            raise HTTPException(404)
        return RedirectResponse(f"/{CLIENT}/")

    async def missing(request: Request, error: Exception) -> Response:
        return PlainTextResponse(why_missing(request.url.path, folder, manifest), status_code=404)

    return Starlette(
        routes=[Route("/", first), Mount("/", BundleFiles(folder, manifest))],
        exception_handlers={404: missing},
        middleware=[Middleware(ResponseHeaders, headers=ISOLATED), *known_hosts_only(hosts)],
    )


def why_missing(path: str, folder: Path, manifest: Manifest) -> str:
    """What is said in place of a file that is not served."""
    if path in ("/", f"/{CLIENT}/") and PAGE not in manifest.files:
        return f"This bundle carries no page ({PAGE}). Build it again: t3export build RECIPE --target web\n"
    if any(path.startswith(f"/{place}/") and not (folder / place).is_dir() for place in (COPIES, PACKAGES)):
        return f"The packages of the client are not there. Run `npm ci` in the bundle's folder {CLIENT}\n"
    return "No file of this bundle has this name.\n"
