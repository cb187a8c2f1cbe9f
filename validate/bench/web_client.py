"""`python -m validate.bench.web_client`: a web bundle's own client, prompt to mesh, in turns with Python."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from exporter.backends.web.page_packages import CLIENT
from exporter.errors import EnvironmentProblem, T3Error
from exporter.machine.node import node_program
from exporter.machine.timing import Speed, in_turns
from exporter.runtime.bundle import Bundle
from validate.bench.sides import BundleSide, Work

SCRIPT = Path(__file__).with_suffix(".js")
PROMPTS = ("a red chair", "a small blue table", "something green")
WHOLE, HOST = "prompt to mesh", "mesh, but for its field"
Seconds = dict[str, float]


class Client:
    """The JavaScript client under Node.js, whose WebAssembly is that of a browser."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    @classmethod
    @contextmanager
    def open(cls, folder: Path, threads: int, grid: int | None) -> Iterator[Client]:
        """Of a bundle. Raises EnvironmentProblem where Node.js or the client's packages are missing."""
        node, environment = node_program("node")
        homes = [home for home in (CLIENT, folder / "client") if (home / "node_modules").is_dir()]
        if not homes:
            raise EnvironmentProblem(f"the client's packages are missing: run `npm ci` in {folder / 'client'}")
        command = [node, str(SCRIPT), str(homes[0]), str(folder.resolve()), str(threads), str(grid or 0)]
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            yield cls(process)
            assert process.stdin
            process.stdin.close()

    def make(self, prompt: str) -> Seconds:
        """Seconds by stage. Raises EnvironmentProblem where the client ends; it has said why."""
        assert self.process.stdin and self.process.stdout
        try:
            print(prompt, file=self.process.stdin, flush=True)
            seconds: Seconds = json.loads(self.process.stdout.readline())["seconds"]
        except (OSError, ValueError):
            raise EnvironmentProblem("the web client ended before its mesh was made") from None
        whole = seconds.pop("whole")
        return {**seconds, HOST: whole - sum(seconds.values()), WHOLE: whole}


def by_python(side: BundleSide, prompt: str, grid: int | None) -> Seconds:
    """Seconds by stage of the same object."""
    made = side.make(Work(prompt, grid)).seconds
    stages = {stage: made[stage] for stage in side.pipeline.stages if stage in made}
    whole = sum(made.values())
    return {**stages, HOST: whole - sum(stages.values()), WHOLE: whole}


def compare(web: Path, python: Path, threads: int, grid: int | None, rounds: int) -> dict[str, Speed]:
    """How many times as long the client takes, by stage and in all; both sides are warm, and run in turns."""
    side = BundleSide(Bundle.open(python), threads)
    side.open()
    with Client.open(web, threads, grid) as client:
        makers = {"client": client.make, "python": lambda prompt: by_python(side, prompt, grid)}
        for maker in makers.values():
            maker(PROMPTS[0])
        taken: dict[str, list[Seconds]] = {name: [] for name in makers}
        for number, order in enumerate(in_turns(list(makers), rounds)):
            for name in order:
                taken[name].append(makers[name](PROMPTS[number % len(PROMPTS)]))
    names = [name for name in taken["python"][0] if name in taken["client"][0]]
    return {name: Speed.of(*(_column(taken[side], name) for side in ("client", "python"))) for name in names}


def _column(rows: Sequence[Seconds], name: str) -> list[float]:
    return list(np.maximum([row[name] for row in rows], 1e-9))


BUNDLE = click.Path(path_type=Path, exists=True)


@click.command()
@click.argument("bundle", type=BUNDLE, metavar="WEB_BUNDLE")
@click.option("--python", "other", type=BUNDLE, help="The bundle that Python runs.  [default: the same]")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Of either side.")
@click.option("--grid", type=click.IntRange(8, 512), help="Samples along each edge.  [default: the recipe's]")
@click.option("--rounds", type=click.IntRange(1), default=6, show_default=True, help="Of both sides.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(bundle: Path, other: Path | None, threads: int, grid: int | None, rounds: int, as_json: bool) -> None:
    """Time prompt to mesh by a web bundle's own client in turns with Python, and print medians and the ratio.

    \b
    Examples:
      python -m validate.bench.web_client artifacts/shape_e_fast/web
      python -m validate.bench.web_client artifacts/shape_e_fast/web --python artifacts/shape_e_fast/cpu --grid 64
    """
    speeds = compare(bundle, other or bundle, threads, grid, rounds)
    if as_json:
        rows: dict[str, Any] = {name: vars(speed) for name, speed in speeds.items()}
        return Console(highlight=False).print_json(data={"threads": threads, "rounds": rounds, "rows": rows})
    table = Table("", "client s", "Python s", "times as long", box=None, pad_edge=False)
    for name, one in speeds.items():
        ratio = f"{one.ratio:.2f} ({one.low:.2f}-{one.high:.2f})"
        table.add_row(name, f"{one.baseline_seconds:.4f}", f"{one.seconds:.4f}", ratio)
    Console(highlight=False, width=None if sys.stdout.isatty() else 120).print(table)


if __name__ == "__main__":
    try:
        command()
    except T3Error as error:
        sys.exit(f"error: {error}")
