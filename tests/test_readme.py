"""What the README has to have."""

from __future__ import annotations

import re

from t3export.cli import COMMANDS
from tests.pages import README

TOUR = README.split("## A tour")[1].split("```sh\n")[1].split("```")[0].strip().splitlines()


def test_the_table_of_verbs_is_complete():
    rows = re.findall(r"^\| `(\w+)` \|", README.split("## Verbs")[1].split("##")[0], re.MULTILINE)
    assert sorted(rows) == sorted(COMMANDS)


def test_the_tour_has_five_lines():
    assert len(TOUR) == 5
