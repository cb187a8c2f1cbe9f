"""The page of messages has messages that the program gives."""

from __future__ import annotations

import re

import pytest

from tests.pages import PAGES, ROOT

FLOORS = ("exporter", "validate", "t3export")
HEADINGS = re.findall(r"^### `(.+)`$", PAGES["docs/troubleshooting.md"], re.MULTILINE)


def said() -> str:
    """The source, with strings that go on in the next line joined."""
    texts = [path.read_text(encoding="utf-8") for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]
    return re.sub(r'"\n\s*f?"', "", "\n".join(texts))


SAID = said()


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_message_of_the_page_is_one_of_the_programs(heading: str) -> None:
    pieces = re.split(r"<\w+>", heading)
    assert all(piece.strip(" '") in SAID for piece in pieces), pieces


def test_the_page_has_every_exit_code() -> None:
    codes = {int(code) for code in re.findall(r"exit_code = (\d+)", SAID)} | {130}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", PAGES["docs/troubleshooting.md"], re.MULTILINE)} == codes
