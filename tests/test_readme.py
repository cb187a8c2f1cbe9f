"""The README is one screen: what it is, what comes out, how to begin and where to go on."""

from __future__ import annotations

import re

from tests.pages import PAGES, README, ROOT

MOST_LINES = 60
MOST_BYTES = 150_000
SECTIONS = ["Two commands", "A tour in five lines", "Where to go on"]


def test_it_is_short():
    assert len(README.splitlines()) <= MOST_LINES
    assert re.findall(r"^## (.+)$", README, re.MULTILINE) == SECTIONS


def test_the_tour_has_five_lines():
    (tour,) = re.findall(r"```sh\n(.*?)```", README.split(f"## {SECTIONS[1]}")[1], re.DOTALL)
    assert len(tour.splitlines()) == 5


def test_its_pictures_are_there_and_small():
    pictures = [ROOT / path for path in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)]
    assert len(pictures) == 2 and all(0 < picture.stat().st_size <= MOST_BYTES for picture in pictures)


def test_it_leads_to_every_guide():
    guides = {page for page in PAGES if page.startswith("docs/guides/")}
    assert guides and guides <= set(re.findall(r"\]\(([^)#]+)\)", README))
