"""The README and the pages of docs/, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTINGS = yaml.safe_load((ROOT / "tests/recipes/pages.yaml").read_text(encoding="utf-8"))
# A block whose first line names a file is what a reader puts there.
_FILE = re.compile(r"# ([\w./-]+\.(?:yaml|txt))\n")


class _Navigation(yaml.SafeLoader):
    """mkdocs.yml has tags of its own."""


_Navigation.add_multi_constructor("!", lambda loader, suffix, node: None)


def _order(navigation: Any) -> Iterator[str]:
    """The pages of the site, in the order in which they are shown."""
    if isinstance(navigation, str):
        yield navigation
    for below in (
        navigation.values() if isinstance(navigation, dict) else navigation if isinstance(navigation, list) else ()
    ):
        yield from _order(below)


def page_names() -> list[str]:
    """The README, the site's pages that are written by hand, in its order, and CONTRIBUTING.md."""
    shown = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), _Navigation)["nav"]
    return [
        "README.md",
        *(f"docs/{name}" for name in _order(shown) if (ROOT / "docs" / name).exists()),
        "CONTRIBUTING.md",
    ]


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Of a block of shell."""
        return shell_lines(self.text) if self.language == "sh" else []


def shell_lines(text: str) -> list[str]:
    """The commands of a block of shell without their comments: one a line, but for what goes on in the next line."""
    commands, begun = [], ""
    for line in text.splitlines():
        bare = re.sub(r"\s+# .*$", "", line).strip()
        begun = f"{begun}\n{bare}" if begun else bare
        if begun and _is_whole(begun):
            commands.append(begun.replace("\\\n", ""))
            begun = ""
    assert not begun, begun
    return commands


def _is_whole(command: str) -> bool:
    try:
        words = shlex.split(command)
    except ValueError:  # an open quotation mark, or a backslash at the end
        return False
    return words.count("do") == words.count("done")


PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in page_names()}
BLOCKS = [
    Block(name, language, body.strip())
    for name, text in PAGES.items()
    for language, body in re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.M)
]
COMMANDS = [command for block in BLOCKS for command in block.commands]
FILES = {found.group(1): block.text for block in BLOCKS if (found := _FILE.match(block.text))}
SETTING: dict[str, dict[str, Any]] = {setting["command"]: setting for setting in SETTINGS["commands"]}
"""By command, how it is run by a test in place of as it stands, or why it is not run."""
NOT_RUN: dict[str, str] = SETTINGS["pages"]
"""By page, why none of its blocks is run here."""


def write_files(folder: Path) -> None:
    """What the pages tell a reader to write, and the shipped recipes beside it."""
    (folder / "recipes").symlink_to(ROOT / "recipes")
    for name, text in FILES.items():
        (folder / name).write_text(f"{text}\n", encoding="utf-8")
