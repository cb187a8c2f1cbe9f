"""The commands of the pages, run in order in one folder: as they stand, or with the settings of pages.yaml."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter.release.keys import TRUSTED_FOLDER
from tests.pages import BLOCKS, NOT_RUN, ROOT, SETTING, SETTINGS, write_files

pytestmark = [pytest.mark.recipes, pytest.mark.xdist_group("pages")]

BIN = Path(sys.executable).parent
# Seconds. What takes longer as it stands needs a setting.
LIMIT = 1200
LANGUAGES = ("sh", "python")


def steps() -> list[tuple[int, str, str]]:
    """(number of the block, language, what is run), each once, however many pages show it."""
    found: dict[str, tuple[int, str, str]] = {}
    for number, block in enumerate(BLOCKS):
        if block.language not in LANGUAGES or block.page in NOT_RUN:
            continue
        for step in block.commands or [block.text]:
            if SETTING.get(step, {}).get("run", True):
                found.setdefault(step, (number, block.language, step))
    return list(found.values())


STEPS = steps()


@dataclass
class Shell:
    """A folder to work in. Each block begins in it, and a `cd` holds to the end of its block."""

    home: Path
    here: Path
    block: int = -1

    def run(self, block: int, *command: str) -> subprocess.CompletedProcess[str]:
        if block != self.block:
            self.block, self.here = block, self.home
        environment = os.environ | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            TRUSTED_FOLDER: str(self.home / "trusted"),
        }
        limited = ["timeout", str(LIMIT), *command]
        return subprocess.run(
            limited, cwd=self.here, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )


@pytest.fixture(scope="module")
def shell(shared: Path, one_cache: None) -> Shell:
    home = shared / "pages"
    # A second worker fails here: commands that are shared out among several do not run in order.
    home.mkdir()
    write_files(home)
    for name, folder in SETTINGS["folders"].items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).symlink_to(ROOT / folder)
    return Shell(home, home)


@pytest.mark.parametrize(("block", "language", "step"), STEPS, ids=[step.partition("\n")[0] for _, _, step in STEPS])
def test_a_command_of_the_pages_does_what_it_should(shell: Shell, block: int, language: str, step: str) -> None:
    if language == "python":
        done = shell.run(block, sys.executable, "-c", step)
        assert done.returncode == 0, done.stdout
        return
    setting = SETTING.get(step, {})
    for piece, other in setting.get("instead", {}).items():
        step = step.replace(piece, other.format(root=ROOT, bin=BIN))
    place = shell.home / ".pwd"
    done = shell.run(block, "bash", "-e", "-c", f"{step}\npwd > {place}")
    assert done.returncode == setting.get("ends", 0), f"$ {step}\n{done.stdout}"
    if done.returncode == 0:
        shell.here = Path(place.read_text(encoding="utf-8").strip())
