"""`t3export verify`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from exporter.release.keys import TrustedKeys
from exporter.release.sigstore_signature import Identity
from exporter.release.verified import verify
from t3export.options import trust_option
from t3export.output import print_json, print_note, results
from t3export.progress import Bar


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@trust_option
@click.option("--identity", metavar="ID", help="Who signed with sigstore too: an e-mail address, or a workflow's URL.")
@click.option("--issuer", metavar="URL", help="Who vouches for --identity; the two go together.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(path: Path, trusted: tuple[str, ...], identity: str | None, issuer: str | None, as_json: bool) -> None:
    """Hold PATH to its publisher's signature: a store of releases, one release, or a pulled bundle.

    Every byte counts, those of files inside the archives too; only hidden files beside a store's index do not. Exit
    code 4 and the names of what was changed, is missing or does not belong there; 2 for a signature of a key that is
    not trusted.

    With --identity and --issuer each release has to be signed by that identity with sigstore besides; without them a
    sigstore signature that is there is not checked.

    \b
    Examples:
      t3export verify artifacts/releases --trust release.pub
      t3export verify artifacts/releases/shape_e-1.0.0
      t3export verify artifacts/pulled/shape_e/shape_e_int8/cpu
      t3export verify artifacts/releases --identity me@example.org --issuer https://accounts.google.com
    """
    if (identity, issuer) != (None, None) and not (identity and issuer):
        raise click.UsageError(
            "--identity and --issuer go together, neither empty: a name is worth as much as its issuer"
        )
    signer = Identity(identity, issuer) if identity and issuer else None
    keys = TrustedKeys.choose(trusted)
    with Bar(quiet=as_json) as progress:
        task = progress.add_task("verify", total=None)
        found = verify(path, keys, lambda name: progress.update(task, description=f"verify {escape(name)}"), signer)
    if as_json:
        print_json(
            {"path": str(path), "kind": found.kind, "names": found.names, "files": found.files, "whole": True}
            | {"sigstore": found.sigstore, "sigstore_checked": signer is not None}
        )
        return
    told = f"{found.kind} {', '.join(found.names)}: {found.files} files" + (f", by {identity} too" if signer else "")
    results().print(f"[green]as signed[/]  {escape(told)}", soft_wrap=True)
    if found.sigstore and not signer:
        print_note(
            f"signed with sigstore too: {', '.join(found.sigstore)}; that was not checked, as --identity and --issuer "
            "were not given"
        )
