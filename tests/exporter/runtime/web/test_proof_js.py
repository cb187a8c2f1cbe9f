"""What the page says of programs that were compared with their goldens."""

from __future__ import annotations

import pytest

from tests.node import run_node

PROOF = """
import { proofOf } from "./page/proof.js";
const numbers = { equal: Infinity, lost: -Infinity };
const snrs = given.map((snr) => numbers[snr] ?? snr);
tell(proofOf(snrs.map((snr) => ({ stage: "map", snr, limit: 60, passed: snr >= 60 }))));
"""


@pytest.mark.parametrize(
    "found, words",
    [
        (["equal", 71.26], "what it should: 2 of 2 recorded outputs hold (map: 71.3 dB, wanted 60.0)."),
        (["equal", "equal"], "what it should: 2 of 2 recorded outputs hold (map: exactly equal, wanted 60.0)."),
        (
            [12.0, "lost"],
            "It does NOT compute here what it should: 0 of 2 recorded outputs hold (map: not finite, or noise",
        ),
        ([], "no goldens"),
    ],
)
def test_the_output_nearest_to_its_limit_is_named(found, words):
    assert words in run_node(PROOF, found)
