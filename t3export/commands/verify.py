"""`t3export verify`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from exporter.release.keys import TrustedKeys
from exporter.release.verify import verify
from t3export.options import trust_option
from t3export.output import print_json, progress_bar, results


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@trust_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(path: Path, trusted: tuple[str, ...], as_json: bool) -> None:
    """Hold PATH to its publisher's signature: a store of releases, one release, or a pulled bundle.

    Every byte counts, those of files inside the archives too; only hidden files beside a store's index do not. Exit
    code 4 and the names of what was changed, is missing or does not belong there; 2 for a signature of a key that is
    not trusted.

    \b
    Examples:
      t3export verify artifacts/releases --trust release.pub
      t3export verify artifacts/releases/shape_e-1.0.0
      t3export verify artifacts/pulled/shape_e/shape_e_int8/cpu
    """
    keys = TrustedKeys.choose(trusted)
    with progress_bar(quiet=as_json) as progress:
        task = progress.add_task("verify", total=None)
        found = verify(path, keys, lambda name: progress.update(task, description=f"verify {escape(name)}"))
    if as_json:
        print_json({"path": str(path), "kind": found.kind, "names": found.names, "files": found.files, "whole": True})
    else:
        told = f"{found.kind} {', '.join(found.names)}: {found.files} files"
        results().print(f"[green]as signed[/]  {escape(told)}", soft_wrap=True)
