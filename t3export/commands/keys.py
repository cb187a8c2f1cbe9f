"""`t3export keys new|trust|list`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from exporter.release.keys import PASSWORD, make_key, read_public, trust, trusted_folder
from t3export.output import print_json, print_note, results, table


@click.group()
def command() -> None:
    """Make the key that signs releases, or choose whose releases are trusted.

    Trusted keys live in $T3EXPORT_TRUSTED_KEYS, else in ~/.config/t3export/trusted. Public keys and signatures are in
    minisign's format, so that `minisign -V` checks them too.

    \b
    Examples:
      t3export keys new release.key
      t3export keys trust release.pub
      t3export keys list
    """


@command.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def new(file: Path, as_json: bool) -> None:
    """Make a secret key in FILE, and its public key beside it with the suffix .pub.

    Put a password into $T3EXPORT_KEY_PASSWORD to encrypt the secret key. Neither file is ever overwritten.

    \b
    Example:
      t3export keys new release.key
    """
    public = make_key(file)
    beside = file.with_suffix(".pub")
    if as_json:
        print_json({"key": str(file), "public": str(beside), "id": public.name})
        return
    results().print(f"secret  {escape(str(file))}  (keep it; it signs)", soft_wrap=True)
    results().print(f"public  {escape(str(beside))}  key {public.name} (give it away; it verifies)", soft_wrap=True)
    print_note(f"set ${PASSWORD} to make a key that is encrypted on disk")


@command.command("trust")
@click.argument("key")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def trust_key(key: str, as_json: bool) -> None:
    """Trust the releases that KEY signs: a .pub file, or the line in it.

    \b
    Examples:
      t3export keys trust release.pub
      t3export keys trust RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3
    """
    public = read_public(key)
    path = trust(public)
    if as_json:
        print_json({"id": public.name, "file": str(path)})
    else:
        results().print(f"trusted: key {public.name}, in {escape(str(path))}", soft_wrap=True)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def list_keys(as_json: bool) -> None:
    """List the keys that are trusted.

    \b
    Example:
      t3export keys list
    """
    folder = trusted_folder()
    found = {path: read_public(str(path)) for path in sorted(folder.glob("*.pub"))}
    if as_json:
        print_json({"folder": str(folder), "keys": [{"id": k.name, "file": str(p)} for p, k in found.items()]})
        return
    overview = table("key", "file")
    for path, public in found.items():
        overview.add_row(public.name, escape(str(path)))
    if found:
        results().print(overview)
    results().print(f"{len(found)} trusted keys in {escape(str(folder))}", soft_wrap=True)
