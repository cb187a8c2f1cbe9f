"""`python -m validate.originals FAMILY --code FOLDER`: a family's networks beside the code of their authors."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import click

from validate.originals.comparison import table, write_rows

# Each a module here with `compare(code, networks)`, which makes the comparisons, and `NETWORKS`, what there is.
FAMILIES = {
    "point-e": "validate.originals.point_e_rows",
    "shap-e": "validate.originals.shap_e_trajectories",
    "triposr": "validate.originals.triposr_networks",
}


@click.command()
@click.argument("family", type=click.Choice(sorted(FAMILIES)))
@click.option(
    "--code",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="A checkout of the authors' repository; it is imported from there.",
)
@click.option("--only", multiple=True, metavar="NETWORK", help="This network alone; may be given several times.")
@click.option(
    "--write",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A page, such as docs/originals.md, whose table of the family gets the rows that were run.",
)
def main(family: str, code: Path, only: tuple[str, ...], write: Path | None) -> None:
    """Run networks of a FAMILY beside the code of their authors; 5 where one differs by more than its limit."""
    module = import_module(FAMILIES[family])
    if unknown := set(only) - set(module.NETWORKS):
        there = ", ".join(module.NETWORKS)
        raise click.BadParameter(f"no network {min(unknown)!r}; there are {there}", param_hint="--only")
    rows = []
    for row in module.compare(code, only or module.NETWORKS):
        rows.append(row)
        click.echo(table([row]).splitlines()[-1])
    if write:
        write_rows(write, family, rows, module.NETWORKS)
    sys.exit(0 if all(row.passed for row in rows) else 5)


if __name__ == "__main__":
    main()
