"""The pages say nothing that the program does not do; tests/recipes runs what takes long."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from t3export.cli import cli, run
from tests.pages import COMMANDS, NOT_RUN, PAGES, ROOT, SETTING, shell_lines, write_files

# Verbs that are done at once, and need no bundle.
AT_ONCE = ("recipe", "targets", "doctor", "cache")
OURS = [command for command in dict.fromkeys(COMMANDS) if command.startswith("t3export ")]
QUICK = [command for command in OURS if shlex.split(command)[1] in AT_ONCE and command not in SETTING]


def parse(command: click.Command, arguments: list[str], parent: click.Context | None = None) -> None:
    context = command.make_context(command.name, list(arguments), parent=parent)
    if isinstance(command, click.Group):
        name, sub, rest = command.resolve_command(context, [*context.protected_args, *context.args])
        assert sub is not None, name
        parse(sub, rest, context)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what a reader of the pages has in it."""
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("T3EXPORT_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("command", OURS)
@pytest.mark.usefixtures("home")
def test_every_command_is_one_the_program_takes(command: str) -> None:
    _, name, *rest = shlex.split(command)
    verb = cli.get_command(click.Context(cli), name)
    assert verb is not None
    parse(verb, rest)


@pytest.mark.parametrize("command", QUICK)
@pytest.mark.usefixtures("home")
def test_what_is_done_at_once_does_what_it_should(command: str) -> None:
    assert run(shlex.split(command)[1:]) == 0


def test_every_setting_is_for_a_command_or_a_page_that_there_is() -> None:
    assert SETTING.keys() <= set(COMMANDS) and NOT_RUN.keys() <= PAGES.keys()
    assert all(piece in command for command, one in SETTING.items() for piece in one.get("instead", {}))
    assert all(one["why"].strip() for one in SETTING.values()) and all(NOT_RUN.values())


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {shlex.split(command)[1] for command in COMMANDS if command.startswith("make ")}
    named |= set(re.findall(r"`make ([a-z-]+)", "".join(PAGES.values())))
    assert named and named <= targets


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_link_of_a_page_beside_the_site_leads_somewhere(page: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", PAGES[page]) if "://" not in link]
    assert all((ROOT / link).exists() for link in links)


def test_a_command_may_go_on_in_the_next_line() -> None:
    text = "a --b \\\n  --c  # why\n\nfew='x\n y'\nfor t in 1 2; do\n  run $t\ndone\n# no command\n"
    assert shell_lines(text) == ["a --b --c", "few='x\ny'", "for t in 1 2; do\nrun $t\ndone", "# no command"]
