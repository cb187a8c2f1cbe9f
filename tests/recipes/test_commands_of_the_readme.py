"""The README's commands, run in order in one folder: as they stand, or with the settings of readme.yaml."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from exporter.release.keys import TRUSTED_FOLDER
from tests.readme import BLOCKS, COMMANDS, ROOT, shell_lines

pytestmark = [pytest.mark.recipes, pytest.mark.xdist_group("readme")]

SETTINGS = yaml.safe_load(Path(__file__).with_name("readme.yaml").read_text(encoding="utf-8"))
SETTING = {setting["command"]: setting for setting in SETTINGS["commands"]}
BIN = Path(sys.executable).parent
# Seconds. What takes longer as it stands needs a setting.
LIMIT = 1200
STEPS = [
    (number, language, step)
    for number, (language, text) in enumerate(BLOCKS)
    for step in (shell_lines(text) if language == "sh" else [text])
]


@dataclass
class Shell:
    """A folder to work in. Each block of the README begins in it, and a `cd` holds to the end of its block."""

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
    home = shared / "readme"
    # A second worker fails here: commands that are shared out among several do not run in order.
    home.mkdir()
    for name, folder in {"recipes": "recipes", **SETTINGS["folders"]}.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).symlink_to(ROOT / folder)
    return Shell(home, home)


def test_every_setting_is_for_a_command_of_the_readme() -> None:
    assert SETTING.keys() <= set(COMMANDS)
    assert all(piece in command for command, one in SETTING.items() for piece in one.get("instead", {}))


@pytest.mark.parametrize(("block", "language", "step"), STEPS, ids=[step.partition("\n")[0] for _, _, step in STEPS])
def test_a_command_of_the_readme_does_what_it_should(shell: Shell, block: int, language: str, step: str) -> None:
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
