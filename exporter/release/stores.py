"""Where releases lie: a folder, an HTTP(S) server, or anything that fsspec opens. All are read by ranges of bytes."""

from __future__ import annotations

import gzip
import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from exporter.errors import BundleError, EnvironmentProblem
from exporter.release.archive import CHUNK
from exporter.release.release_errors import StoreProblem, StoreUnreachable
from exporter.release.statement import LARGEST_DOCUMENT

SECONDS_TO_ANSWER = 30.0
TOKEN = "T3EXPORT_STORE_TOKEN"
# What a connection that breaks raises, whatever the store.
BROKEN = (OSError, http.client.HTTPException, EOFError, zlib.error)
_IN_A_PATH = "/%:@!$&'()*+,;=~"
_IN_A_QUERY = f"{_IN_A_PATH}?"


class Store(Protocol):
    """Files by their path below the store."""

    def open(self, path: str, start: int = 0, end: int | None = None) -> AbstractContextManager[BinaryIO]:
        """A stream that begins at byte `start`; it may go on beyond `end`. Raises StoreProblem."""


def open_store(place: str) -> Store:
    """The store at a path or a URL. Raises EnvironmentProblem where its package is missing."""
    scheme = urllib.parse.urlsplit(place).scheme
    if scheme in ("http", "https"):
        return WebStore(place)
    if "://" in place:
        return FsspecStore(place)
    return FolderStore(Path(place))


def shown(url: str) -> str:
    """A URL as it may be printed: without password and query, which are secrets where they sign or log in."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def read_some(stream: BinaryIO, size: int, what: str) -> bytes:
    """The next bytes, at most `size`. Raises StoreUnreachable at the end, or where the connection breaks."""
    try:
        piece = stream.read(min(size, CHUNK))
    except BROKEN as error:
        raise StoreUnreachable(f"{what}: broke off ({error})") from None
    if not piece:
        raise StoreUnreachable(f"{what}: ends too early; the connection broke, or the file is truncated there")
    return piece


def read_document(store: Store, path: str) -> bytes:
    """A small file, whole. Raises StoreProblem, or BundleError for one that is larger than any document."""
    with store.open(path) as stream:
        try:
            content = stream.read(LARGEST_DOCUMENT + 1)
        except BROKEN as error:
            raise StoreUnreachable(f"{path}: broke off ({error})") from None
    if len(content) > LARGEST_DOCUMENT:
        raise BundleError(f"{path}: more than {LARGEST_DOCUMENT} bytes; this is no document of a release")
    return content


class FolderStore:
    """A folder on this machine or a mounted one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def open(self, path: str, start: int = 0, end: int | None = None) -> Iterator[BinaryIO]:
        try:
            stream = (self.folder / path).open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise StoreProblem(f"{self.folder / path}: not there; is {self.folder} a store of releases?") from None
        with stream:
            stream.seek(start)
            yield stream


class WebStore:
    """An HTTP(S) server; one that has no ranges is read from the start and what was not asked for skipped.

    A query, such as the signature of a presigned URL, goes with every file's address and is never told.
    """

    def __init__(self, url: str) -> None:
        self.url = shown(url).rstrip("/")
        self._parts = urllib.parse.urlsplit(url)
        if "@" in self._parts.netloc:
            raise StoreProblem(f"{self.url}: no name and password in the URL; the server's token goes into ${TOKEN}")

    def _address(self, path: str) -> str:
        place = urllib.parse.quote(self._parts.path.rstrip("/"), _IN_A_PATH) + f"/{urllib.parse.quote(path)}"
        query = urllib.parse.quote(self._parts.query, _IN_A_QUERY)
        return urllib.parse.urlunsplit((self._parts.scheme, self._parts.netloc, place, query, ""))

    @contextmanager
    def open(self, path: str, start: int = 0, end: int | None = None) -> Iterator[BinaryIO]:
        url = f"{self.url}/{path}"
        request = urllib.request.Request(self._address(path), headers={"User-Agent": "t3export"})
        if start or end is not None:
            request.add_header("Range", f"bytes={start}-{'' if end is None else end - 1}")
        if token := os.environ.get(TOKEN):
            # Not for where the server redirects to, which is another's.
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        try:
            answer = urllib.request.urlopen(request, timeout=SECONDS_TO_ANSWER)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (401, 403):
                raise StoreProblem(f"{url}: the server refuses ({error.code}); its token goes into ${TOKEN}") from None
            if error.code in (404, 410):
                raise StoreProblem(f"{url}: not there; is {self.url} a store of releases?") from None
            kind = StoreUnreachable if error.code >= 500 else StoreProblem
            raise kind(f"{url}: the server answers {error.code} {error.reason}") from None
        except BROKEN as error:
            raise StoreUnreachable(f"{url}: no answer ({getattr(error, 'reason', error)})") from None
        with answer:
            content = _content(answer, url)
            if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
                _skip(content, start, url)
            yield content


class FsspecStore:
    """Any store that fsspec knows: s3://, gs://, memory://, sftp://…"""

    def __init__(self, url: str) -> None:
        try:
            import fsspec
        except ModuleNotFoundError:
            raise EnvironmentProblem(f"{shown(url)}: this needs fsspec: `pip install 't3export[release]'`") from None
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise EnvironmentProblem(f"{shown(url)}: {error}") from None
        self.url = shown(url)

    @contextmanager
    def open(self, path: str, start: int = 0, end: int | None = None) -> Iterator[BinaryIO]:
        try:
            stream = self._files.open(f"{self._root.rstrip('/')}/{path}", "rb")
        except FileNotFoundError:
            raise StoreProblem(f"{self.url}/{path}: not there; is {self.url} a store of releases?") from None
        except BROKEN as error:
            raise StoreUnreachable(f"{self.url}/{path}: no answer ({error})") from None
        with stream:
            stream.seek(start)
            yield stream


def _content(answer: http.client.HTTPResponse, url: str) -> BinaryIO:
    """The bytes that were stored. Raises StoreProblem for a page meant for people, or a part of compressed bytes."""
    if answer.headers.get_content_type() == "text/html":
        host = urllib.parse.urlsplit(answer.url).netloc
        raise StoreProblem(
            f"{url}: {host} answers with a web page, perhaps to log in, and not with the file; a server's token goes "
            f"into ${TOKEN}"
        )
    encoding = answer.headers.get("Content-Encoding", "identity").lower()
    if encoding == "identity":
        return cast(BinaryIO, answer)
    if encoding in ("gzip", "x-gzip") and answer.status == http.HTTPStatus.OK:
        return cast(BinaryIO, gzip.GzipFile(fileobj=answer))
    raise StoreProblem(
        f"{url}: the server, or a proxy before it, compresses it on the way ({encoding}), which nobody asked for and "
        "which hides the bytes that were signed; have that switched off for this address"
    )


def _skip(stream: BinaryIO, size: int, what: str) -> None:
    while size:
        size -= len(read_some(stream, size, what))
