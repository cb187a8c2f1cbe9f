"""The README, and the commands in it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [
    (language, text.strip()) for language, text in re.findall(r"^```(sh|python)\n(.*?)^```", README, re.DOTALL | re.M)
]


def shell_lines(text: str) -> list[str]:
    """The commands of a block of shell, one a line, without their comments."""
    return [bare for line in text.splitlines() if (bare := re.sub(r"\s+# .*$", "", line).strip())]


COMMANDS = [line for language, text in BLOCKS if language == "sh" for line in shell_lines(text)]
WORDS = [shlex.split(line) for line in COMMANDS]
