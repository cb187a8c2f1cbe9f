"""`t3export blender`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from exporter.blender.extension import OLDEST_BLENDER, OLDEST_NUMPY, extension_id, write_extension
from exporter.blender.requirement import PACKAGE, requirement
from exporter.blender.wheels import wheels_in
from exporter.errors import RecipeError
from exporter.manifest import require_whole
from t3export.machine import own_version
from t3export.output import megabytes, print_json, print_note, results


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The .zip.  [default: t3export-NAME.zip]")
@click.option(
    "--wheels",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder of wheels of t3export-runtime and all that it needs, to go along.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(bundle: Path, output: Path | None, wheels: Path | None, as_json: bool) -> None:
    """Pack a BUNDLE as an extension of Blender 4.2 or newer: a panel with prompt or picture, seed and quality.

    Install the zip in Blender with Edit > Preferences > Add-ons > Install from Disk. With --wheels it needs nothing
    else; without, its panel says which command of pip installs what it runs with.

    \b
    Examples:
      t3export blender artifacts/shape_e_int8/cpu
      t3export blender artifacts/shape_e_int8/cpu --wheels wheels -o chairs.zip
    """
    manifest = require_whole(bundle)
    name = extension_id(manifest)
    output = output or Path(f"t3export-{name}.zip")
    if output.suffix.lower() != ".zip":
        raise RecipeError(f"-o {output}: Blender installs a .zip")
    packed = wheels_in(wheels, PACKAGE) if wheels else []
    write_extension(bundle, manifest, output, own_version(), packed)
    size = output.stat().st_size
    if as_json:
        print_json({"bundle": str(bundle), "file": str(output), "size": size, "wheels": [one.name for one in packed]})
        return
    results().print(f"{output}  ({megabytes(size)}, Blender {OLDEST_BLENDER} or newer)", markup=False, soft_wrap=True)
    if not packed:
        words = ["pip", "download", "-d", "wheels", "--find-links", "wheels", "--only-binary=:all:"]
        words += ["--python-version", "3.11"]
        fill = shlex.join([*words, requirement(bundle, manifest, own_version()), f"numpy=={OLDEST_NUMPY}"])
        print_note(
            "no wheels are in it: its panel will say what to install. To take them along, for Blender 4.2 to 5.0, in "
            "t3export's checkout:\n  pip wheel --no-deps -w wheels ./distributions/runtime\n"
            f"  {fill}\nthen --wheels wheels"
        )
