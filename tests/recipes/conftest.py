"""What all workers of a run share, which pairs it makes, and what came of each at the end of it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.files.cache import ENVIRONMENT
from tests.recipes import matrix_page
from tests.recipes.command_line import CommandLine
from tests.recipes.pairs import FIRST, FLAGSHIP, ROOT, all_pairs, guarded_pairs

PAIR, BUILD, PROOF = "pair", "build", "proof"
BEGAN = time.monotonic()
LATE = "the minutes were over"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all-pairs", action="store_true", help="every recipe on every target, and the page of them")
    parser.addoption(
        "--minutes", type=float, default=float("inf"), help="after which nothing more is begun, but told of"
    )


@pytest.fixture(autouse=True)
def in_time(pytestconfig: pytest.Config) -> None:
    """A slow machine tries what comes first; the flagship does."""
    minutes = pytestconfig.getoption("--minutes")
    if time.monotonic() - BEGAN > 60 * minutes:
        pytest.skip(f"not tried: {LATE}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "pair" in metafunc.fixturenames:
        every = all_pairs()
        pairs = every if metafunc.config.getoption("--all-pairs") else guarded_pairs(every)
        pairs.sort(key=lambda pair: (pair.name not in FIRST, pair.recipe.name != FLAGSHIP, pair.group))
        marked = [pytest.param(pair, marks=pytest.mark.xdist_group(pair.group), id=pair.name) for pair in pairs]
        metafunc.parametrize("pair", marked)


@pytest.fixture(scope="session")
def one_cache(shared: Path) -> Iterator[None]:
    """Steps that are the same are done once in a run, as they are for a person."""
    with pytest.MonkeyPatch.context() as patch:
        if ENVIRONMENT not in os.environ:
            patch.setenv(ENVIRONMENT, str(shared / "cache"))
        yield


@pytest.fixture
def t3export(tmp_path: Path, one_cache: None) -> CommandLine:
    """The command line in a folder of its own that has the shipped recipes."""
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    return CommandLine(tmp_path)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, [])]
    pairs = {report: dict(report.user_properties) for report in reports if report.when == "call"}
    pairs = {report: told for report, told in pairs.items() if PAIR in told}
    if late := [report.nodeid for report in terminalreporter.stats.get("skipped", []) if LATE in str(report.longrepr)]:
        terminalreporter.section(f"not tried: {LATE}")
        terminalreporter.line("\n".join(late))
    if not pairs:
        return
    terminalreporter.section("pairs")
    for report, told in sorted(pairs.items(), key=lambda item: item[1][PAIR]):
        build, proof = (_words(told.get(name)) for name in (BUILD, PROOF))
        terminalreporter.line(f"{report.outcome}  {' on '.join(told[PAIR]):<36} build {build:>6}  validate {proof}")
    if config.getoption("--all-pairs"):
        made = {tuple(told[PAIR]) for report, told in pairs.items() if report.passed}
        terminalreporter.line(matrix_page.write(made))


def _words(told: float | str | None) -> str:
    return f"{told:.0f} s" if isinstance(told, float) else told or "–"
