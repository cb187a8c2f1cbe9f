"""Recipes as no person would write them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from exporter.errors import T3Error
from t3export.options import checked_recipe
from tests.faults.children import limited_memory
from tests.faults.fault import Attempt, Fault

RECIPES = Path(__file__).parent.parent.parent / "recipes"
HANG_SECONDS = 5.0
MEMORY = 2**30
TOKENS = [
    "null", "true", "~", "{}", "[]", "-1", "1e309", ".nan", "0x" + "f" * 40, "9" * 400, "!!python/object:os.system",
    "&a [*a]", "*", "<<: *a", "? ", "|", ">", "%YAML 9.9", "---", "...", "\t", "\x00", "\ufeff", "\u2028", "'", '"',
    "../../../etc/passwd",
    "[" * 300, "{a: " * 200, "- " * 300, "palette", "int8", "extends: .", "extends: recipe.yaml", "extends: /dev/zero",
    "policy: /dev/zero", "2001-01-01", "1_0", "0o9", "a: b: c", "[[[[[[[[[[", "denoiser/*", "**", "[!", "x" * 5000,
]  # fmt: skip
Mutation = Callable[[str, random.Random], str]


def swap_token(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    words[rng.randrange(len(words))] = rng.choice(TOKENS)
    return " ".join(words)


def insert_token(text: str, rng: random.Random) -> str:
    place = rng.randrange(len(text) + 1)
    return text[:place] + rng.choice(TOKENS) + text[place:]


def delete(text: str, rng: random.Random) -> str:
    start = rng.randrange(len(text) + 1)
    return text[:start] + text[start + rng.randrange(1, 40) :]


def repeat(text: str, rng: random.Random) -> str:
    lines = text.splitlines(keepends=True) or [""]
    line = rng.choice(lines)
    return text + line * rng.randrange(1, 4)


def change_character(text: str, rng: random.Random) -> str:
    place = rng.randrange(len(text) + 1)
    return text[:place] + chr(rng.choice([rng.randrange(128), rng.randrange(0xD7FF)])) + text[place + 1 :]


def move_line(text: str, rng: random.Random) -> str:
    lines = text.splitlines(keepends=True) or [""]
    lines.insert(rng.randrange(len(lines)), lines.pop(rng.randrange(len(lines))))
    return "".join(lines)


MUTATIONS: list[Mutation] = [swap_token, insert_token, delete, repeat, change_character, move_line]


def attempts(folder: Path, count: int, rng: random.Random) -> Iterator[Attempt]:
    """Most are small recipes, so that a blow hits something; the shipped ones take their turn."""
    path, texts = folder / "recipe.yaml", seeds(folder)
    with limited_memory(MEMORY):
        for _ in range(count):
            text = rng.choice(texts)
            for _ in range(rng.choice([1, 1, 1, 2, 4])):
                text = rng.choice(MUTATIONS)(text, rng)
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
            yield read(path)


def seeds(folder: Path) -> list[str]:
    """Recipes to start from; what the shipped ones extend is put into the folder."""
    for base in RECIPES.glob("*.yaml"):
        (folder / base.name).write_bytes(base.read_bytes())
    return [_merged(), *(path.read_text(encoding="utf-8") for path in sorted(RECIPES.glob("*.yaml")))]


def read(path: Path) -> Attempt:
    """Reads a recipe as every verb does, and says how that ended."""
    begin = time.perf_counter()
    case, lost = "refused", ""
    try:
        checked_recipe(path, (), None)
        case = "still a recipe"
    except T3Error as error:
        lost = "" if str(error) else "refused without a word"
    except MemoryError:
        lost = f"more than {MEMORY} bytes of memory"
    except Exception as error:
        lost = f"a traceback, {type(error).__name__}: {error}"
    taken = time.perf_counter() - begin
    if taken > HANG_SECONDS:
        lost = lost or f"took {taken:.1f} s"
    return Attempt(case, f"{lost}: {path.read_bytes()[:300]!r}" if lost else "")


def _merged() -> str:
    """The base recipe with a rule of every kind."""
    text = (RECIPES / "shape_e_fp32.yaml").read_text(encoding="utf-8")
    rules = """  rules:
    - {layers: "text_encoder/*", precision: int8}
    - {layers: "denoiser/*", operator: table, precision: palette, bits: 4}
    - {layers: "projector/*", precision: int4_weights, block: 32}
  smooth: 0.5
"""
    return text.replace("  rules: []\n", rules)


FAULT = Fault(
    "fuzzed-recipes",
    "reads a recipe with one to four random edits; it is read or refused with words, in less than 5 s and 1 GiB",
    100_000,
    attempts,
    sample=500,
)
