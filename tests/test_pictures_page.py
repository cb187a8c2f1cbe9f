"""docs/pictures.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from exporter.runtime.inputs.cut_out import TOLERANCE
from exporter.runtime.inputs.picture import LONGEST_STRIP, MOST_PIXELS
from exporter.runtime.inputs.plain_background import PLAIN
from t3export.commands.run import command
from tests.node import CLIENT

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "pictures.md").read_text(encoding="utf-8")


def test_its_limits_are_those_of_the_code():
    assert f"more than {MOST_PIXELS // 10**6} million pixels, or with one edge over {LONGEST_STRIP} times" in PAGE
    assert f"within {TOLERANCE} levels" in PAGE and f"less than {PLAIN:.0%}".replace("%", " %") in PAGE


def test_the_web_client_has_the_same_limits():
    script = (CLIENT / "picture.js").read_text(encoding="utf-8")
    found = {name: eval(value) for name, value in re.findall(r"^const (M\w+|L\w+) = ([\d *]+);", script, re.MULTILINE)}
    assert found == {"MOST_PIXELS": MOST_PIXELS, "LONGEST_STRIP": LONGEST_STRIP}


def test_its_recipes_pictures_and_options_are_there():
    for path in re.findall(r"recipes/[\w/.]+\.(?:yaml|png)", PAGE):
        assert (ROOT / path).is_file(), path
    options = {option for one in command.params for option in one.opts}
    assert set(re.findall(r"(--[a-z-]+)", "\n".join(re.findall(r"t3export run .*", PAGE)))) <= options
