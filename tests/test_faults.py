"""A sample of every fault; `make test-faults` runs them at their counts."""

from __future__ import annotations

import pytest

from exporter.errors import EnvironmentProblem
from tests.faults.__main__ import summary
from tests.faults.fault import Attempt, Fault, find_faults, run_fault

FAULTS = find_faults()


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_lost_in_a_sample(name, tmp_path):
    sample = FAULTS[name].sample
    try:
        tally = run_fault(FAULTS[name], tmp_path, sample)
    except EnvironmentProblem as problem:
        pytest.skip(str(problem))
    assert tally.total == sample and not tally.lost, str(tally)


def test_a_loss_is_counted_and_shown(tmp_path):
    fault = Fault("shaky", "is survived", 2, lambda folder, count, rng: iter([Attempt("a"), Attempt("b", "fell over")]))
    tally = run_fault(fault, tmp_path)
    assert "2 attempts, 1 lost" in str(tally) and "LOST b: fell over" in str(tally)
    assert "| shaky | 2 | 1 |" in summary([tally], 0) and "- LOST b: fell over" in summary([tally], 0)
