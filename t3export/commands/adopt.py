"""`t3export adopt`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from t3export.output import print_json, print_note, results, table
from t3export.quiet import quiet_libraries
from t3export.steps import StepLines

if TYPE_CHECKING:
    from exporter.adopt.adopt import Adopted
    from exporter.workshop.goldens import GoldenParity


@click.command()
@click.argument("pipeline", type=click.Path(path_type=Path, dir_okay=False))
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, metavar="BUNDLE",
              help="The bundle's folder.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="What was made as one JSON document on stdout.")
def command(pipeline: Path, output: Path, as_json: bool) -> None:
    """Make a bundle of ONNX files that somebody else exported, so that they can be judged.

    PIPELINE is a YAML file: inputs, stages with their kind, the deployed program and beside it the float program, the
    names of ports where they differ, how it samples, what comes out. The float programs are the reference: goldens are
    recorded from them, they travel in the bundle, and `validate`, `bisect`, `table` and `bench` compare with them, in
    the place of a PyTorch model. No program is changed but for the names of its ports.

    Whether the programs are good enough decides nothing here: that is `t3export validate`. docs/adopt.md has the
    format and an example.

    \b
    Examples:
      t3export adopt pipeline.yaml -o artifacts/theirs
      t3export validate artifacts/theirs --prompts captions.txt --evaluator clip-vit-base-patch32
    """
    quiet_libraries()
    from exporter.adopt.adopt import adopt

    with StepLines() as progress:
        made = adopt(pipeline, output, progress)
    if as_json:
        print_json(_as_data(made))
        return
    results().print(_table(made.parities))
    print_note(f"bundle: {output}  {made.digest[:16]}")


def _worst(parities: list[GoldenParity]) -> dict[str, GoldenParity]:
    """By stage, its output and golden with least margin."""
    found: dict[str, GoldenParity] = {}
    for one in sorted(parities, key=lambda parity: parity.parity.snr_db):
        found.setdefault(one.stage, one)
    return {stage: found[stage] for stage in dict.fromkeys(one.stage for one in parities)}


def _table(parities: list[GoldenParity]) -> Any:
    shown = table("stage", "precision", "worst output", "SNR against the float program", "wanted")
    for one in _worst(parities).values():
        shown.add_row(one.stage, one.precision, one.tensor, f"{one.parity.snr_db:.1f} dB", f"{one.limit_db:.1f} dB")
    return shown


def _as_data(made: Adopted) -> dict[str, Any]:
    stages = {
        name: {
            "precision": one.precision,
            "tensor": one.tensor,
            "snr_db": one.parity.snr_db,
            "wanted_snr_db": one.limit_db,
        }
        for name, one in _worst(made.parities).items()
    }
    return {"bundle": str(made.out), "digest": made.digest, "name": made.manifest.name, "stages": stages}
