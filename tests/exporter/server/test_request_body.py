"""A body is bounded in bytes, in values and in time, before it is parsed."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.requests import Request

from exporter.errors import RecipeError
from exporter.server import request_body
from exporter.server.request_body import MOST_BYTES, MOST_BYTES_OF_TEXT, BodyTooLarge, BodyTooSlow, read_body
from exporter.server.request_fields import LONGEST_TEXT

TEXT = {"prompt": {}, "negative": {}}
PICTURE = {"picture": {}}
JSON = (b"content-type", b"application/json")


def read(fields, *pieces, headers=(JSON,)):
    """What is read of a body that comes in pieces, and never ends without any."""
    bodies = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces[:-1]]
    bodies += [{"type": "http.request", "body": piece, "more_body": False} for piece in pieces[-1:]]

    async def receive():
        return bodies.pop(0) if bodies else await asyncio.Event().wait()

    scope = {"type": "http", "method": "POST", "path": "/", "headers": list(headers)}
    return asyncio.run(read_body(Request(scope, receive), fields))


@pytest.mark.parametrize(
    "fields, most, told",
    [(PICTURE, MOST_BYTES, "at most 32 MiB .* the picture smaller"), (TEXT, MOST_BYTES_OF_TEXT, "at most 128 KiB")],
)
def test_a_large_body_is_refused_whether_or_not_its_length_is_named(fields, most, told):
    with pytest.raises(BodyTooLarge, match=told):
        read(fields, headers=[JSON, (b"content-length", str(most + 1).encode())])
    with pytest.raises(BodyTooLarge, match=told):
        read(fields, *[b" " * (most // 4)] * 4, b" ")


def test_the_largest_texts_are_taken():
    asked = dict.fromkeys(TEXT, "🦊" * LONGEST_TEXT)
    assert read(TEXT, json.dumps(asked).encode()) == asked
    commas = dict.fromkeys(TEXT, "[," * (LONGEST_TEXT // 2))
    assert read(TEXT, json.dumps(commas).encode()) == commas


@pytest.mark.parametrize("value", ["[" + "[]," * 10**5 + "[]]", "{" + '"a":1,' * 10**5 + '"a":1}', "[" * 10**5])
def test_many_values_are_refused_before_they_are_parsed(monkeypatch, value):
    def parsed(body):
        raise AssertionError("it is parsed")

    monkeypatch.setattr(request_body.json, "loads", parsed)
    with pytest.raises(RecipeError, match="far more values than there are fields"):
        read(PICTURE, b'{"picture": ' + value.encode() + b"}")


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(request_body, "SECONDS_TO_SEND", 0.01)
    with pytest.raises(BodyTooSlow, match="did not come within"):
        read(TEXT)
