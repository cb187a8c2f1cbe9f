"""`t3export finish`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
from rich.markup import escape

from exporter.backends.tensorrt.finish import Finished, finish
from exporter.manifest import bundle_digest, read_manifest
from t3export.opening import note_beside
from t3export.output import megabytes, notes, print_json, results, table


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--python", type=click.Path(path_type=Path), help="A Python with TensorRT and numpy.  [default: found]")
@click.option("--rebuild", is_flag=True, help="Build engines that are there already once more.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(bundle: Path, python: Path | None, rebuild: bool, as_json: bool) -> None:
    """Build the engines of a BUNDLE on the device that is to run them, prove them and time them.

    Each engine is checked against the recorded inputs and outputs of the PyTorch reference, and its quantized layers
    must run in INT8. Versions, times and the digests of the engines go into the manifest. Exit code 5 when an engine
    misses a tolerance, 6 when TensorRT or the GPU is missing.

    \b
    Examples:
      t3export finish artifacts/shape_e_int8/orin
      t3export finish . --python /usr/bin/python3
      t3export finish . --rebuild         (after TensorRT was upgraded)
    """
    note_beside(bundle, read_manifest(bundle))
    finished = finish(bundle, python, rebuild, on_line=lambda line: notes().print(escape(line)))
    if as_json:
        engines = finished.manifest.engines
        assert engines is not None
        told = {"bundle": str(bundle), "digest": bundle_digest(finished.manifest), "built": finished.built}
        print_json(told | {"engines": engines.model_dump(mode="json")})
    else:
        _print(bundle, finished)


def _print(folder: Path, finished: Finished) -> None:
    engines = finished.manifest.engines
    assert engines is not None
    overview = table("engine", "size", "worst parity", "products in INT8", "one run")
    for name, part in engines.stages.items():
        parity = "exact" if part.worst_snr_db is None else f"{part.worst_snr_db:.1f} dB"
        size = megabytes(finished.manifest.files[part.file].size)
        overview.add_row(name, size, parity, str(part.int8_products), f"{part.milliseconds:.2f} ms")
    results().print(overview)
    results().print(escape(", ".join(f"{name} {value}" for name, value in engines.device.items())))
    results().print("[green]engines: built[/], and in the manifest. Next, here:")
    place = shlex.quote(str(folder))
    for command in (f'run {place} --prompt "a red chair" -o chair.glb', f"validate {place} --no-quality"):
        results().print(f"  t3export {escape(command)}", soft_wrap=True)
