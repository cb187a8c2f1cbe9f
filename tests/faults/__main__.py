"""`python -m tests.faults [NAME…]`: every fault at its count, and docs/reliability.md from what came of it."""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.fault import Tally, find_faults, run_fault

COMMAND = "make test-faults"
SECONDS_BETWEEN = 10.0


def main() -> int:
    """1 where anything was lost."""
    faults = find_faults()
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(faults)}")
    parser.add_argument("--share", type=float, default=1.0, help="of the counts, as 0.1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, help="the summary as Markdown; all faults at their full counts only")
    given = parser.parse_args()
    if unknown := set(given.names) - set(faults):
        parser.error(f"no fault {', '.join(sorted(unknown))}; there are: {', '.join(faults)}")
    if given.write and (given.names or given.share < 1):
        parser.error("--write is for all faults at their full counts")
    tallies = []
    for name in given.names or faults:
        folder = Path(tempfile.mkdtemp(prefix=f"t3export-{name}-"))
        try:
            count = max(1, round(faults[name].count * given.share))
            tallies.append(run_fault(faults[name], folder, count, given.seed, _Counter(count)))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(tallies[-1], flush=True)
    if given.write:
        given.write.write_text(summary(tallies, given.seed), encoding="utf-8")
    return int(any(tally.lost for tally in tallies))


class _Counter:
    """Says on stderr how far a loop is, every few seconds."""

    def __init__(self, count: int) -> None:
        self.count, self.said = count, 0.0

    def __call__(self, tally: Tally) -> None:
        if tally.seconds - self.said > SECONDS_BETWEEN:
            self.said = tally.seconds
            done = f"{tally.total} of {self.count}, {len(tally.lost)} lost, {tally.seconds:.0f} s"
            print(f"  {tally.fault.name}: {done}", file=sys.stderr, flush=True)


def summary(tallies: Sequence[Tally], seed: int) -> str:
    """docs/reliability.md."""
    lines = [
        "# What was survived",
        "",
        f"Written by `{COMMAND}` on {datetime.now(UTC):%Y-%m-%d}, seed {seed}, Python {platform.python_version()} on "
        f"{platform.system()} {platform.machine()}. Each row is one file of `tests/faults/`.",
        "",
        "| fault | attempts | lost | seconds | each attempt |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for tally in tallies:
        fault = tally.fault
        lines.append(f"| {fault.name} | {tally.total} | {len(tally.lost)} | {tally.seconds:.0f} | {fault.survived} |")
    for tally in tallies:
        lines += ["", f"## {tally.fault.name}", "", "| case | attempts |", "| --- | ---: |"]
        lines += [f"| {case} | {count} |" for case, count in sorted(tally.tried.items())]
        lines += [f"- LOST {line}" for line in tally.lost]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
