"""The socket and the loop of a server."""

from __future__ import annotations

import contextlib
import copy
import ipaddress
import socket
from typing import Any

import uvicorn
import uvicorn.config
from starlette.types import ASGIApp

from exporter.errors import EnvironmentProblem

SECONDS_TO_END = 10
"""How long requests that are under way may still take when the server is to end."""


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 is any free one. Raises EnvironmentProblem where the address cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no host name"
        raise EnvironmentProblem(
            f"{host}, port {port}: cannot listen there ({why}); give another --port, 0 for any that is free, or "
            "another --host"
        ) from None


def address_of(listening: socket.socket) -> str:
    """The address of a page on it, http://127.0.0.1:8000/; where it listens on any, the one that browsers of this
    machine trust without encryption."""
    host, port = listening.getsockname()[:2]
    if (ip := ipaddress.ip_address(host)).is_unspecified:
        host = "127.0.0.1" if ip.version == 4 else "::1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def serve_until_stopped(app: ASGIApp, listening: socket.socket, most_connections: int | None = None) -> None:
    """Serves until SIGINT or SIGTERM; what is under way may end before."""
    config = uvicorn.Config(
        app,
        log_config=_on_stderr(),
        limit_concurrency=most_connections,
        timeout_graceful_shutdown=SECONDS_TO_END,
        server_header=False,
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])


def _on_stderr() -> dict[str, Any]:
    """A line for each request, not on the output that programs read, and nothing of uvicorn's own start."""
    logs = copy.deepcopy(uvicorn.config.LOGGING_CONFIG)
    logs["handlers"]["access"]["stream"] = "ext://sys.stderr"
    logs["loggers"]["uvicorn"]["level"] = logs["loggers"]["uvicorn.error"]["level"] = "WARNING"
    return logs
