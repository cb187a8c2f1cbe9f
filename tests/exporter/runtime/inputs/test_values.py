"""What is taken, the same in Python and in JavaScript."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from exporter.errors import RecipeError
from exporter.runtime.inputs import values
from tests.node import run_node

# Each value as Python and as JavaScript write it, and what is said of one that is not taken.
SEED = "seed: a whole number from 0 to 2^64 - 1 is expected"
GRID = "grid: a whole number from 8 to 512 is expected"
PROMPT = "prompt: words that say what to make are expected"
EXACT = "exact: yes or no is expected as a boolean"
ALLOWED = "allowed: draft, fine, normal"
CASES = [
    *[("seed", (seed,), f"{seed}n", "") for seed in (0, 7, 2**53 + 1, 2**64 - 1)],
    *[("seed", (seed,), f"{seed}n", SEED) for seed in (-1, 2**64, 2**80)],
    ("seed", (7,), "7", ""), ("seed", (-1,), "-1", SEED), ("seed", (1.5,), "1.5", SEED),
    ("seed", (math.nan,), "NaN", SEED), ("seed", (math.inf,), "Infinity", SEED),
    ("seed", ("7",), '"7"', SEED), ("seed", (None,), "null", SEED),
    ("seed", (True,), "true", SEED), ("seed", ([],), "[]", SEED),
    *[("grid", (grid,), f"{grid}", "") for grid in (8, 24, 512, None)],
    *[("grid", (grid,), f"{grid}", GRID) for grid in (0, 1, 7, 513, -8, 24.5)],
    ("grid", ("24",), '"24"', GRID), ("grid", ("",), '""', GRID), ("grid", (False,), "false", GRID),
    ("grid", (math.nan,), "NaN", GRID), ("grid", ([24],), "[24]", GRID),
    *[("grid", (None, quality), f'null, "{quality}"', "") for quality in ("draft", "normal", "fine")],
    ("grid", (None, None), "null, null", ""), ("grid", (None, "ultra"), 'null, "ultra"', ALLOWED),
    ("grid", (None, "toString"), 'null, "toString"', ALLOWED), ("grid", (None, ""), 'null, ""', ALLOWED),
    ("grid", (None, 3), "null, 3", ALLOWED), ("grid", (None, False), "null, false", ALLOWED),
    ("grid", (64, "draft"), '64, "draft"', "give grid or quality, not both"),
    ("prompt", ("a red chair",), '"a red chair"', ""), ("prompt", ("椅子 🪑",), '"椅子 🪑"', ""),
    ("prompt", ("",), '""', PROMPT), ("prompt", (" \t\n",), '" \\t\\n"', PROMPT), ("prompt", (None,), "null", PROMPT),
    ("prompt", (7,), "7", PROMPT), ("prompt", (["a"],), '["a"]', PROMPT),
    ("prompt", ("a \ud83e",), '"a \\ud83e"', "half of a surrogate pair"),
    *[("exact", (exact,), {True: "true", False: "false", None: "null"}[exact], "") for exact in (True, False, None)],
    ("exact", ("no",), '"no"', EXACT), ("exact", (0,), "0", EXACT),
]  # fmt: skip
PYTHON = {
    "seed": values.require_seed,
    "grid": values.chosen_grid,
    "prompt": values.require_prompt,
    "exact": values.require_exact,
}
SCRIPT = """
import { chosenGrid, requireExact, requirePrompt, requireSeed } from "./values.js";
const functions = { seed: requireSeed, grid: chosenGrid, prompt: requirePrompt, exact: requireExact };
const outcome = (name, text) => {
  try {
    return [String(functions[name](...eval(`[${text}]`)) ?? null), ""];
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return ["", error.message];
  }
};
tell(given.map(([name, text]) => outcome(name, text)));
"""


def in_python(name, arguments):
    try:
        return json.dumps(PYTHON[name](*arguments), ensure_ascii=False).strip('"'), ""
    except RecipeError as error:
        return "", str(error)


def test_both_languages_take_and_refuse_the_same():
    found = run_node(SCRIPT, [[name, text.replace("None", "null")] for name, _, text, _ in CASES])
    for (name, arguments, text, refusal), javascript in zip(CASES, found, strict=True):
        python = in_python(name, arguments)
        assert python[0] == javascript[0], (name, text)
        for _, told in (python, javascript):
            assert refusal in told and bool(told) == bool(refusal), (name, text, told)


def test_the_tables_are_equal():
    script = """
    import { LARGEST_GRID, LARGEST_SEED, QUALITIES, SMALLEST_GRID } from "./values.js";
    tell([Object.entries(QUALITIES), SMALLEST_GRID, LARGEST_GRID, String(LARGEST_SEED)]);
    """
    table = [*map(list, values.QUALITIES.items())], values.SMALLEST_GRID, values.LARGEST_GRID, str(values.LARGEST_SEED)
    assert run_node(script) == list(table)


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64, np.array])
def test_numpys_whole_numbers_become_pythons(kind):
    assert type(values.require_grid(kind(24))) is int and values.require_seed(kind(24)) == 24


@pytest.mark.parametrize("value", [np.float32(24), np.bool_(True), np.array([24, 24])])
def test_numpys_other_values_are_refused(value):
    with pytest.raises(RecipeError, match=GRID):
        values.require_grid(value)
