"""Whom a server of this machine alone answers: its own names, as a page elsewhere can let its name lead to a loopback
address, and no page of another host, as a browser lets any page post a form anywhere."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def hosts_of(host: str) -> list[str]:
    """The names that a server on an address answers to; none stands for any, where others are meant to reach it."""
    return [*LOOPBACK, host] if is_loopback(host) else []


def known_hosts_only(hosts: list[str]) -> list[Middleware]:
    """What refuses requests to another name, against DNS rebinding, and those of pages of another host."""
    if not hosts:
        return []
    return [
        Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
        Middleware(KnownPagesOnly, hosts=hosts),
    ]


class KnownPagesOnly:
    """An application without what pages of other hosts send; a client that is no page names no origin
    (https://fetch.spec.whatwg.org/#origin-header)."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self.app = app
        self.hosts = {host.strip("[]") for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = Headers(scope=scope).get("origin") if scope["type"] == "http" else None
        if origin is None or host_of(origin) in self.hosts:
            await self.app(scope, receive, send)
            return
        message = "a page of another host sent this; pages of this machine may, and programs that name no Origin"
        await JSONResponse({"error": {"kind": "ForeignPage", "message": message}}, 403)(scope, receive, send)


def host_of(origin: str) -> str | None:
    """The host of an origin; none for an opaque one or no origin at all."""
    try:
        return urlsplit(origin).hostname
    except ValueError:
        return None
