"""The interface over HTTP: a request in, the file of its object out."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from exporter.errors import EmptyMesh, RecipeError, T3Error
from exporter.manifest import bundle_digest
from exporter.runtime.bundle import Bundle
from exporter.server.api_request import read_request
from exporter.server.formats import MadeFile
from exporter.server.host_names import known_hosts_only
from exporter.server.job_queue import Job, JobQueue, QueueFull
from exporter.server.openapi import EVENTS, GENERATE, HEALTH, OPENAPI, openapi
from exporter.server.request_body import BodyTooLarge, BodyTooSlow, UnknownBody, read_body
from exporter.server.request_fields import request_fields
from exporter.server.response_headers import ResponseHeaders

STATUSES: dict[type[T3Error], int] = {
    RecipeError: 400,
    BodyTooSlow: 408,
    BodyTooLarge: 413,
    UnknownBody: 415,
    EmptyMesh: 422,
    QueueFull: 429,
}
SECONDS_BETWEEN = 0.1
"""How often it is looked at how far a job is, and whether its client is still there."""
LONGEST_MESSAGE = 1000
"""It may repeat what was sent."""
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class JobEvents(StreamingResponse):
    """Events of a job. Whoever hangs up before the first one leaves a generator that never began, and nothing else that
    would cancel the job."""

    def __init__(self, job: Job[MadeFile], events: AsyncIterator[str]) -> None:
        super().__init__(events, media_type=EVENTS, headers={"X-Accel-Buffering": "no"})
        self.job = job

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.job.cancel()


class Api:
    """The endpoints, on one bundle and one queue."""

    def __init__(self, bundle: Bundle, most_waiting: int) -> None:
        self.bundle = bundle
        self.queue: JobQueue[MadeFile] = JobQueue(most_waiting)
        self.fields = request_fields(bundle.pipeline)
        self.digest = bundle_digest(bundle.manifest)

    async def health(self, request: Request) -> Response:
        """Whether it works, and how many wait."""
        return JSONResponse(
            {
                "status": "ok",
                "bundle": self.bundle.manifest.name,
                "digest": self.digest,
                "busy": self.queue.is_busy,
                "waiting": self.queue.waiting,
                "most_waiting": self.queue.most_waiting,
                "made": self.queue.done,
            }
        )

    async def description(self, request: Request) -> Response:
        """OpenAPI's document."""
        return JSONResponse(openapi(self.bundle.manifest, self.fields))

    async def generate(self, request: Request) -> Response:
        """The file of one object, or events of how far it is with the file in the last one."""
        # Before a picture of many MiB is read for nothing; `submit` decides.
        self.queue.require_room()
        asked = await run_in_threadpool(read_request, await read_body(request, self.fields), self.fields)
        job = self.queue.submit(partial(asked.make, self.bundle))
        if EVENTS in request.headers.get("accept", ""):
            return JobEvents(job, self._events(job, request))
        async for _ in self._progress(job, request):
            pass
        made = job.future.result()
        disposition = {"Content-Disposition": f'attachment; filename="{made.name}"'}
        return Response(made.content, media_type=made.media_type, headers=disposition)

    async def _progress(self, job: Job[MadeFile], request: Request) -> AsyncGenerator[dict[str, Any], None]:
        """How far a job is whenever that changes, until it has ended; it is cancelled when its client has gone."""
        ended, told = asyncio.wrap_future(job.future), None
        try:
            while not ended.done():
                now = self._how_far(job)
                if now != told:
                    yield now
                told = now
                await asyncio.wait([ended], timeout=SECONDS_BETWEEN)
                if not ended.done() and await request.is_disconnected():
                    raise ClientDisconnect()
        finally:
            job.cancel()
            # What it raised is looked at by whoever asks for its result.
            if not ended.cancel() and not ended.cancelled():
                ended.exception()

    def _how_far(self, job: Job[MadeFile]) -> dict[str, Any]:
        if job.progress is None:
            return {"what": "queued", "ahead": self.queue.ahead_of(job)}
        what, done, total = job.progress
        return {"what": what, "done": done, "total": total}

    async def _events(self, job: Job[MadeFile], request: Request) -> AsyncIterator[str]:
        try:
            async with aclosing(self._progress(job, request)) as progress:
                async for now in progress:
                    yield event("progress", now)
            made = job.future.result()
        except ClientDisconnect:
            return
        except Exception as error:
            if not isinstance(error, T3Error):
                logging.getLogger(__name__).error("a request failed", exc_info=error)
            yield event("error", described_error(error)["error"])
            return
        content = base64.b64encode(made.content).decode()
        yield event("result", {"name": made.name, "media_type": made.media_type, "base64": content})


def api_app(bundle: Bundle, most_waiting: int, hosts: list[str]) -> Starlette:
    """The application of a bundle. `most_waiting`: requests behind the one that is under way; `hosts`: the names that
    it answers to, none for any."""
    api = Api(bundle, most_waiting)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(api.queue.close)

    return Starlette(
        routes=[
            Route(HEALTH, api.health),
            Route(OPENAPI, api.description),
            Route(GENERATE, api.generate, methods=["POST"]),
        ],
        exception_handlers={T3Error: refused, HTTPException: no_such_thing, ClientDisconnect: gone, Exception: broken},
        middleware=[Middleware(ResponseHeaders, headers=HEADERS), *known_hosts_only(hosts)],
        lifespan=lifespan,
    )


def event(name: str, data: dict[str, Any]) -> str:
    """One server-sent event."""
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def described_error(error: Exception) -> dict[str, dict[str, str]]:
    """What is said of an error; of one that is none of the client's making no more than that."""
    if not isinstance(error, T3Error):
        return {"error": {"kind": "InternalError", "message": "the server failed; its error output says more"}}
    # JSON can name half a surrogate pair, which no answer can carry.
    message = str(error).encode(errors="backslashreplace").decode()
    message = message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}…"
    return {"error": {"kind": type(error).__name__, "message": message}}


async def refused(request: Request, error: Exception) -> Response:
    """An error in words, under the status that clients expect."""
    status = next((code for kind, code in STATUSES.items() if isinstance(error, kind)), 500)
    headers = {}
    if isinstance(error, QueueFull):
        headers = {"Retry-After": str(error.seconds)}
    elif isinstance(error, BodyTooSlow):
        headers = {"Connection": "close"}
    return JSONResponse(described_error(error), status, headers)


async def no_such_thing(request: Request, error: Exception) -> Response:
    """Another path or method."""
    assert isinstance(error, HTTPException)
    message = f"no {request.method} {request.url.path}; there are POST {GENERATE}, GET {HEALTH} and GET {OPENAPI}"
    return JSONResponse({"error": {"kind": "NoSuchEndpoint", "message": message}}, error.status_code, error.headers)


async def gone(request: Request, error: Exception) -> Response:
    """Nobody reads this."""
    return Response(status_code=499)


async def broken(request: Request, error: Exception) -> Response:
    """A mistake of ours, answered outside all middleware."""
    return JSONResponse(described_error(error), 500, HEADERS)
