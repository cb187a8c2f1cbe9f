"""Bundles of programs that somebody else exported."""

from __future__ import annotations

import numpy as np

from exporter.runtime.bundle import Bundle


def test_their_programs_make_what_ours_make(adopted, ours):
    theirs, own = Bundle.open(adopted.out), Bundle.open(ours[0])
    mesh, expected = (one.generate("a red chair", seed=5) for one in (theirs, own))
    np.testing.assert_array_equal(mesh.vertices, expected.vertices)
    np.testing.assert_array_equal(mesh.faces, expected.faces)
