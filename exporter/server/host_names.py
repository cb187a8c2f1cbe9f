"""Which names of this machine are answered to: a page elsewhere can let its own name lead to a loopback address."""

from __future__ import annotations

import ipaddress

from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

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
    """What refuses requests to another name, against DNS rebinding."""
    return [Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)] if hosts else []
