from __future__ import annotations

import sys
import time

import numpy as np
import pytest

from exporter.machine.meter import Silent, Within, metered, peak_so_far


class Seen(Silent):
    def __init__(self):
        self.events = []

    def started(self, step):
        self.events.append(f"started {step}")

    def finished(self, record):
        self.events.append(f"finished {record.name}")


def test_time_is_measured_and_told():
    seen, records = Seen(), []
    with metered("sleep", seen, records):
        time.sleep(0.05)
    assert seen.events == ["started sleep", "finished sleep"]
    assert 0.05 <= records[0].seconds < 5


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a former peak")
def test_the_peak_is_that_of_the_step():
    records = []
    with metered("large", Silent(), records):
        np.ones(50_000_000).sum()
    with metered("small", Silent(), records):
        pass
    assert records[0].peak_bytes - records[1].peak_bytes > 300e6


def test_a_failed_step_is_not_recorded():
    records = []
    with pytest.raises(RuntimeError), metered("broken", Silent(), records):
        raise RuntimeError
    assert records == []


def test_what_is_one_of_several_is_shown_under_its_name_and_leaves_no_lines():
    told = []

    class Heard(Silent):
        def started(self, step):
            told.append(step)

        def advanced(self, step, done, total):
            told.append((step, done, total))

        def finished(self, record):
            told.append(record)

    within = Within(Heard(), "policy 3 of at most 6")
    with metered("trace denoiser", within, []):
        within.advanced("trace denoiser", 1, 2)
    assert told == ["policy 3 of at most 6: trace denoiser", ("policy 3 of at most 6: trace denoiser", 1, 2)]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is never reset")
def test_the_peak_of_the_process_outlives_the_steps_that_are_measured_in_it():
    with metered("large", Silent(), []):
        large = np.ones(2**25)
        highest = peak_so_far()
        del large
    with metered("small", Silent(), []) as small:
        pass
    assert small.peak_bytes < highest <= peak_so_far()
