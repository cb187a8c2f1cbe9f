"""A workplace that all workers of a run share, and what came of each pair at the end of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exporter.cache import ENVIRONMENT
from exporter.recipe_file import load_recipe
from exporter.target import list_targets
from t3export.target_check import check_markdown
from tests.recipes.command_line import CommandLine
from tests.recipes.pairs import ROOT, all_pairs, guarded_pairs

TABLE = "t3export targets --check --markdown\n```\n\n"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all-pairs", action="store_true", help="every recipe on every target, and the README's matrix")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "pair" in metafunc.fixturenames:
        every = all_pairs()
        pairs = every if metafunc.config.getoption("--all-pairs") else guarded_pairs(every)
        pairs.sort(key=lambda pair: (pair.cell.state != "builds", pair.group))
        marked = [pytest.param(pair, marks=pytest.mark.xdist_group(pair.group), id=pair.name) for pair in pairs]
        metafunc.parametrize("pair", marked)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers see, with the cache of build steps of this run."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(autouse=True)
def _one_cache(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call of a run shares the steps that are the same, as a person's own calls do."""
    if ENVIRONMENT not in os.environ:
        monkeypatch.setenv(ENVIRONMENT, str(shared / "cache"))


@pytest.fixture
def t3export(tmp_path: Path) -> CommandLine:
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    return CommandLine(tmp_path)
