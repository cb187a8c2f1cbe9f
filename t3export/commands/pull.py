"""`t3export pull`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from exporter.release.installed import Installed, pulled_into, roll_back
from exporter.release.keys import TrustedKeys
from exporter.release.names import WantedRelease
from exporter.release.pull import Pulled, pull
from exporter.release.stores import open_store
from t3export.commands.build import ARTIFACTS
from t3export.options import trust_option
from t3export.output import megabytes, print_json, results
from t3export.progress import Bar


@click.command()
@click.argument("name")
@click.option("--from", "place", metavar="STORE", help="A folder, http(s)://…, or any URL that fsspec opens.")
@click.option("--bundle", metavar="B", help="Which bundle of it: <recipe>/<target>, or the target alone.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that gets <recipe>/<target>.  [default: artifacts/pulled/<name>]",
)
@click.option("--rollback", is_flag=True, help="Put the version before back in place; needs no store.")
@trust_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(
    name: str,
    place: str | None,
    bundle: str | None,
    output: Path | None,
    rollback: bool,
    trusted: tuple[str, ...],
    as_json: bool,
) -> None:
    """Bring a release into place: NAME, NAME@VERSION or NAME@CHANNEL (stable, where neither is said).

    The key's signature is verified first (sigstore's is left to `t3export verify`), then each file's digest, before a
    byte of it is used; then the bundle moves into place in one step, and the one that was there is kept for --rollback.
    Files that are here already are not fetched again; an interrupted pull goes on where it was. A server's token goes
    into $T3EXPORT_STORE_TOKEN.

    Exit code 4 where something was tampered with, 6 where the store does not answer.

    \b
    Examples:
      t3export pull shape_e --from https://example.org/releases --trust release.pub
      t3export pull shape_e@1.0.0 --from artifacts/releases --bundle cpu
      t3export pull shape_e@candidate --from s3://bucket/releases
      t3export pull shape_e --rollback --bundle shape_e_int8/cpu
    """
    wanted = WantedRelease.parse(name)
    into = output or ARTIFACTS / "pulled" / wanted.name
    if rollback:
        former, now = roll_back(_place(into, bundle), TrustedKeys.choose(trusted))
        _tell(Pulled(now, former, None), as_json)
        return
    if place is None:
        raise click.UsageError("where from? --from STORE: a folder, http(s)://…, or any URL that fsspec opens")
    keys = TrustedKeys.choose(trusted)
    store = open_store(place)
    with Bar(quiet=as_json) as progress:
        task = progress.add_task(f"pull {escape(name)}", total=None)
        pulled = pull(
            wanted,
            store,
            into,
            keys,
            bundle,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    _tell(pulled, as_json)


def _place(into: Path, bundle: str | None) -> Path:
    """The one pulled bundle that is meant."""
    found = pulled_into(into)
    fitting = [folder for folder in found if _is_asked(folder, into, bundle)]
    if len(fitting) != 1:
        there = ", ".join(folder.relative_to(into).as_posix() for folder in found) or "none"
        raise click.UsageError(f"which of the bundles in {into}? Name one with --bundle; there are: {there}")
    return fitting[0]


def _is_asked(folder: Path, into: Path, bundle: str | None) -> bool:
    return bundle is None or bundle in (folder.relative_to(into).as_posix(), folder.name)


def _tell(pulled: Pulled, as_json: bool) -> None:
    installed, former, fetched = pulled.installed, pulled.former, pulled.fetched
    before = _version(former) if former and former.release != installed.release else None
    if as_json:
        data: dict[str, Any] = {"bundle": str(installed.folder), "release": installed.release.folder, "before": before}
        cost = {"bytes": fetched.bytes, "files": fetched.files, "reused": fetched.reused} if fetched else None
        print_json(data | {"version": installed.release.version, "name": installed.name, "fetched": cost})
        return
    if fetched:
        told = f"{fetched.files} files, {megabytes(fetched.bytes)} fetched; {fetched.reused} were here already"
    else:
        told = "nothing to fetch"
    came = f", before it {before}" if before else ""
    results().print(
        f"[green]{escape(installed.release.folder)}[/] {escape(str(installed.folder))}  ({told}{came})", soft_wrap=True
    )


def _version(installed: Installed) -> str:
    return installed.release.folder
