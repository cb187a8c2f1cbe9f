"""The body of a request in memory, as fields: JSON or a form, up to a size."""

from __future__ import annotations

import json
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.types import Message, Receive

from exporter.errors import RecipeError, T3Error
from exporter.server.api_request import Given, typed_fields
from exporter.server.request_fields import Fields

MOST_BYTES = 32 * 2**20
"""Of a whole request."""
JSON = "application/json"
FORM = "multipart/form-data"


class BodyTooLarge(T3Error):
    """A request of more bytes than are taken."""

    def __init__(self) -> None:
        super().__init__(f"at most {MOST_BYTES // 2**20} MiB are taken in one request; make the picture smaller")


class UnknownBody(T3Error):
    """A request in another form than those that are read."""


class FormInMemory(MultiPartParser):
    """Puts no part of a form on the disk, however large."""

    spool_max_size = MOST_BYTES


async def read_body(request: Request, fields: Fields) -> Given:
    """The fields of a request. Raises RecipeError, BodyTooLarge or UnknownBody."""
    if request.headers.get("content-length", "0").isdecimal() and int(request.headers.get("content-length", 0)) > (
        MOST_BYTES
    ):
        raise BodyTooLarge()
    counted = Request(request.scope, up_to(MOST_BYTES, request.receive))
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == JSON:
        return _object(await counted.body())
    if kind == FORM:
        return typed_fields(await _parts(counted), fields)
    raise UnknownBody(f"a body of {JSON} or {FORM} is expected, not {kind or 'one without a type'}")


def up_to(most: int, receive: Receive) -> Receive:
    """Receives as `receive`. Raises BodyTooLarge once more bytes have come."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise BodyTooLarge()
        return message

    return counted


def _object(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"the body is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise RecipeError('the body: an object is expected, as in {"prompt": "a red chair"}')
    return given


async def _parts(request: Request) -> dict[str, Any]:
    try:
        form = await FormInMemory(request.headers, request.stream(), max_files=1, max_fields=16).parse()
    except MultiPartException as error:
        raise RecipeError(f"the form cannot be read: {error.message}") from None
    parts: dict[str, Any] = {}
    for name, value in form.multi_items():
        if name in parts:
            raise RecipeError(f"{name}: it stands twice in the form")
        parts[name] = await value.read() if isinstance(value, UploadFile) else value
    await form.close()
    return parts
