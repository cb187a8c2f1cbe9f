"""`t3export serve`."""

from __future__ import annotations

import sys
import warnings
import webbrowser
from pathlib import Path

import click

from exporter.manifest import require_whole
from exporter.runtime.assets.optional import require
from exporter.runtime.bundle import Bundle
from t3export.opening import before_opening
from t3export.options import memory_limit_option, stand_in_option
from t3export.output import print_json, print_note, results

CONNECTIONS_BESIDE = 64
"""Beside those that may wait."""


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--api", is_flag=True, help="Make files of requests, instead of serving the page of a web bundle.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for any.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 for any that is free.")
@click.option("--open", "show", is_flag=True, help="Open the page in the browser.")
@click.option(
    "--waiting",
    type=click.IntRange(min=0),
    metavar="N",
    help="Requests of --api that may wait behind the one under way; more get 429.  [default: 16]",
)
@memory_limit_option
@stand_in_option
@click.option("--json", "as_json", is_flag=True, help="Where it listens, as one JSON document on stdout.")
def command(
    bundle: Path,
    api: bool,
    host: str,
    port: int,
    show: bool,
    waiting: int | None,
    memory_limit: int | None,
    stand_in: str | None,
    as_json: bool,
) -> None:
    """Serve the page of a web BUNDLE, or with --api an interface that makes files of prompts and pictures.

    Only this machine reaches it, unless --host says otherwise. It needs the extra `serve`. The interface is described
    by its own /openapi.json. Ctrl-C ends it.

    \b
    Examples:
      t3export serve artifacts/shape_e_int8/web --open
      t3export serve artifacts/shape_e_int8/cpu --api
      t3export serve artifacts/shape_e_int8/cpu --api --host 0.0.0.0 --port 8080 --waiting 4
    """
    of_the_api = {"--waiting": waiting, "--memory-limit": memory_limit, "--on": stand_in}
    if given := [name for name, value in of_the_api.items() if value is not None and not api]:
        raise click.UsageError(f"{', '.join(given)} is for --api")
    if show and api:
        raise click.UsageError("--open is for the page of a web bundle, and --api has none")
    for package in ("starlette", "uvicorn", "python_multipart"):
        require(package)
    from exporter.server.api_app import api_app
    from exporter.server.bundle_files import files_app
    from exporter.server.host_names import hosts_of, is_loopback
    from exporter.server.listening import address_of, listening_socket, serve_until_stopped

    most_connections = None
    if api:
        before_opening(bundle, stand_in)
        opened = Bundle.open(bundle, stand_in=stand_in, memory_limit_mb=memory_limit)
        # Python would keep every prompt that it warned of.
        warnings.filterwarnings("ignore", message="the prompt is longer than the context")
        most_waiting = 16 if waiting is None else waiting
        most_connections = most_waiting + CONNECTIONS_BESIDE
        app = api_app(opened, most_waiting, hosts_of(host))
    else:
        app = files_app(bundle, require_whole(bundle), hosts_of(host))
    with listening_socket(host, port) as listening:
        address = address_of(listening)
        if not is_loopback(host):
            print_note("whoever reaches this machine can use it: there are no passwords and no encryption")
        if as_json:
            print_json({"bundle": str(bundle), "url": address, "api": api})
        else:
            results().print(f"{bundle}: {address}  (Ctrl-C ends it)", markup=False, soft_wrap=True)
        sys.stdout.flush()
        if show:
            webbrowser.open(address)
        serve_until_stopped(app, listening, most_connections)
