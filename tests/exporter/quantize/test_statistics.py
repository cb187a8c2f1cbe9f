from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from exporter.quantize.statistics import BINS, Statistics

values = hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.just(4)), elements=st.floats(-1e6, 1e6, width=32))


@given(st.lists(values, min_size=1, max_size=5))
def test_counts_do_not_depend_on_how_the_values_arrive(arrays):
    """Doubling the edge moves no count across the border of a bin."""
    parted = Statistics.of_nothing(4)
    for array in arrays:
        parted.add(array)
    whole = np.abs(np.concatenate(arrays))
    assert parted.rows == len(whole)
    np.testing.assert_array_equal(parted.channel_maximum, whole.max(0))
    assert parted.maximum == whole.max()
    assert parted.histogram.sum() == whole.size
    if parted.maximum:
        assert parted.maximum < parted.edge <= 2 * parted.maximum
        np.testing.assert_array_equal(parted.histogram, np.histogram(whole, BINS, (0, parted.edge))[0])


@given(values)
def test_values_are_left_as_they_are(array):
    before = array.copy()
    Statistics.of_nothing(4).add(array)
    np.testing.assert_array_equal(array, before)


def test_magnitudes_below_any_power_of_two_in_float32_are_counted():
    seen = Statistics.of_nothing(3)
    seen.add(np.array([[1e-40, 0.0, 5e-41]], np.float32))
    np.testing.assert_array_equal(seen.histogram, np.histogram([1e-40, 0.0, 5e-41], BINS, (0, seen.edge))[0])


@given(values, st.floats(0, 20))
def test_energies_are_the_diagonals_of_the_grams(array, scale):
    both = np.concatenate([array, array[::-1]])
    seen = Statistics.of_nothing(4)
    seen.add_gram(both, scale)
    seen.add_energy(both, scale)
    for gram, energy in ((seen.gram, seen.energy), (seen.guided_gram, seen.guided_energy)):
        np.testing.assert_allclose(energy, np.diagonal(gram), rtol=1e-4)
