"""`t3export release`."""

from __future__ import annotations

import re
from pathlib import Path

import click
from rich.markup import escape

from exporter.manifest import read_manifest
from exporter.release.keys import read_key
from exporter.release.names import CHANNEL
from t3export.opening import note_beside
from t3export.output import megabytes, print_json, print_note, results, table
from t3export.progress import Bar


@click.command()
@click.argument("bundles", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="STORE/NAME-VERSION, as in artifacts/releases/shape_e-1.0.0.",
)
@click.option("--key", type=click.Path(path_type=Path), required=True, help="The secret key; `t3export keys new`.")
@click.option("--channel", default="candidate", show_default=True, help="The channel that stands for it from now on.")
@click.option("--license", metavar="SPDX", help="Licence of the weights, where their own card does not name it.")
@click.option("--sigstore", is_flag=True, help="Sign with sigstore too, by the identity of this CI's job.")
@click.option("--hub", metavar="ORG/NAME", help="Push it to this repository of the Hugging Face hub too.")
@click.option("--private", is_flag=True, help="A repository that --hub makes is private.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(
    bundles: tuple[Path, ...],
    output: Path,
    key: Path,
    channel: str,
    license: str | None,
    sigstore: bool,
    hub: str | None,
    private: bool,
    as_json: bool,
) -> None:
    """Turn validated BUNDLES of one model into a signed release that `t3export pull` takes.

    Writes archives, checksums, a model card, a bill of materials (CycloneDX), provenance (in-toto, SLSA) and a detached
    signature into STORE/NAME-VERSION, and lists it in STORE/index.json. The store is a plain folder: any web server or
    object store serves it. The same bundles and key give the same bytes.

    --sigstore adds a signature by an identity: that of the CI's job, or of the token in $SIGSTORE_ID_TOKEN. `t3export
    verify --identity` checks it; `pull` does not, which trusts keys. It needs the network; where it fails, nothing is
    released.

    Bundles of random weights, and those that were not validated, failed or were judged on fewer objects than their
    recipe asks for, are refused (exit code 5). A version that is out never changes; releasing the same content again
    moves a channel.

    \b
    Examples:
      t3export release artifacts/shape_e_int8/cpu -o artifacts/releases/shape_e-1.0.0 --key release.key
      t3export release artifacts/shape_e_int8/* -o artifacts/releases/shape_e-1.0.0 --key release.key --channel stable
      t3export release artifacts/shape_e_int8/cpu -o releases/shape_e-1.0.0 --key release.key --hub me/shape_e
      t3export release artifacts/shape_e_int8/cpu -o releases/shape_e-1.0.0 --key release.key --sigstore
    """
    if not re.fullmatch(CHANNEL, channel):
        raise click.UsageError(f"--channel {channel}: a channel is a word in small letters, as stable or candidate")
    from exporter.release.hub import push
    from exporter.release.publish import publish
    from exporter.release.sigstore_signature import sign

    secret = read_key(key)
    with Bar(quiet=as_json) as progress:
        task = progress.add_task("checking the bundles", total=None)
        published = publish(
            bundles,
            output,
            secret,
            channel,
            license,
            lambda step: progress.update(task, description=escape(step)),
            sign if sigstore else None,
        )
        if hub:
            progress.update(task, description=f"push to {escape(hub)}")
            hub = push(published, hub, private)
    for folder in bundles:
        note_beside(folder, read_manifest(folder))
    release, index = published.release, published.index
    if as_json:
        print_json(
            {"release": str(output), "name": release.name, "version": release.version, "channel": channel}
            | {"index_revision": index.revision, "hub": hub, "files": release.model_dump(mode="json")["documents"]}
            | {
                "bundles": {
                    name: one.model_dump(mode="json", exclude={"files"}) for name, one in release.bundles.items()
                }
            }
        )
        return
    overview = table("bundle", "archive", "size", "files")
    for name, archive in release.bundles.items():
        overview.add_row(name, escape(archive.file), megabytes(archive.size), str(len(archive.files)))
    results().print(overview)
    results().print(f"[green]release[/] {escape(str(output))}, {release.name}@{channel}", soft_wrap=True)
    store = hub or str(output.parent)
    print_note(f"t3export pull {release.name}@{channel} --from {store} --trust {key.with_suffix('.pub')}")
