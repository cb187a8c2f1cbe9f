"""`t3export report`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from exporter.errors import RecipeError
from t3export.output import print_json, print_note


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to.  [default: reports/report.html in it]")
@click.option("--bench", type=click.Path(path_type=Path), help="Latency and memory: a file of `t3export bench --json`.")
@click.option("--json", "as_json", is_flag=True, help="Where it was written, as one JSON document on stdout.")
def command(bundle: Path, output: Path | None, bench: Path | None, as_json: bool) -> None:
    """Write report.html of a BUNDLE's last validation again: one file that needs no network and no t3export to read.

    `t3export validate` writes it too; this adds what was measured since, and needs neither weights nor PyTorch.

    \b
    Examples:
      t3export report artifacts/shape_e_int8/cpu
      t3export report artifacts/shape_e_int8/cpu --bench bench.json -o proof.html
    """
    from validate.page.report_page import write_page

    written = write_page(bundle, output, read_bench(bench) if bench else None)
    if as_json:
        print_json({"report": str(written), "bytes": written.stat().st_size})
    else:
        print_note(f"report: {written}")


def read_bench(path: Path) -> dict[str, object]:
    """A file of `t3export bench --json`. Raises RecipeError for one that is not."""
    from validate.bench.latency import require_bench

    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(f"--bench {path}: cannot be read as JSON ({error})") from None
    return require_bench(data, f"--bench {path}")
