"""The README says nothing that the program does not do."""

from __future__ import annotations

import re

import click
import pytest

from t3export.cli import COMMANDS, cli
from tests.readme import README, ROOT, WORDS

OURS = [words[1:] for words in WORDS if words[0] == "t3export"]
TOUR = README.split("## A tour")[1].split("```sh\n")[1].split("```")[0].strip().splitlines()


def parse(command: click.Command, arguments: list[str], parent: click.Context | None = None) -> None:
    context = command.make_context(command.name, list(arguments), parent=parent)
    if isinstance(command, click.Group):
        name, sub, rest = command.resolve_command(context, [*context.protected_args, *context.args])
        assert sub is not None, name
        parse(sub, rest, context)


@pytest.mark.parametrize("arguments", OURS, ids=" ".join)
def test_every_command_is_one_the_program_takes(arguments, monkeypatch):
    monkeypatch.chdir(ROOT)
    name, *rest = arguments
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    parse(command, rest)


def test_every_make_target_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    asked = {words[1] for words in WORDS if words[0] == "make"} | set(re.findall(r"`make ([a-z-]+)`", README))
    assert asked and asked <= targets


def test_every_link_leads_somewhere():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links and all((ROOT / link).exists() for link in links)


def test_the_table_of_verbs_is_complete():
    rows = re.findall(r"^\| `(\w+)` \|", README.split("## Verbs")[1].split("##")[0], re.MULTILINE)
    assert rows == list(COMMANDS)


def test_the_tour_has_five_lines():
    assert len(TOUR) == 5
