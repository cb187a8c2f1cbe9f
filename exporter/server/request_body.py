"""The body of a request in memory, as fields: JSON or a form, up to a size."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.types import Message, Receive

from exporter.errors import RecipeError, T3Error
from exporter.server.api_request import Given, typed_fields
from exporter.server.request_fields import LONGEST_TEXT, Fields

MOST_BYTES = 32 * 2**20
"""Of a whole request with a picture."""
MOST_BYTES_OF_TEXT = 128 * 2**10
"""Of a whole request without one: two texts of the longest kind in JSON, each character as two escapes."""
MOST_MARKS = 3 * LONGEST_TEXT
"""Commas and opening brackets in JSON: more than two texts of the longest kind have, and a bound on its values."""
SECONDS_TO_SEND = 60
"""How long a client may take over its body."""
JSON = "application/json"
FORM = "multipart/form-data"


class BodyTooLarge(T3Error):
    """A request of more bytes than are taken."""

    def __init__(self, most: int) -> None:
        with_picture = most == MOST_BYTES
        size = f"{most // 2**20} MiB" if with_picture else f"{most // 2**10} KiB"
        advice = "make the picture smaller" if with_picture else "this bundle takes no picture"
        super().__init__(f"at most {size} are taken in one request; {advice}")


class BodyTooSlow(T3Error):
    """A request whose body did not come in time."""

    def __init__(self) -> None:
        super().__init__(f"the body of the request did not come within {SECONDS_TO_SEND} s; send it again")


class UnknownBody(T3Error):
    """A request in another form than those that are read."""


class FormInMemory(MultiPartParser):
    """Puts no part of a form on the disk, however large."""

    spool_max_size = MOST_BYTES


async def read_body(request: Request, fields: Fields) -> Given:
    """The fields of a request. Raises RecipeError, BodyTooLarge, BodyTooSlow or UnknownBody."""
    try:
        return await asyncio.wait_for(_fields(request, fields), SECONDS_TO_SEND)
    except asyncio.TimeoutError:
        raise BodyTooSlow() from None


async def _fields(request: Request, fields: Fields) -> Given:
    most = MOST_BYTES if "picture" in fields else MOST_BYTES_OF_TEXT
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise BodyTooLarge(most)
    counted = Request(request.scope, up_to(most, request.receive))
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
            raise BodyTooLarge(most)
        return message

    return counted


def _object(body: bytes) -> dict[str, Any]:
    # Many small values take seconds and a multiple of their bytes to parse, while no other request is answered.
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MOST_MARKS:
        raise RecipeError("the body: far more values than there are fields; see /openapi.json for what is taken")
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
