"""Shap-E beside openai/shap-e, a checkout of which T3EXPORT_SHAP_E_CODE names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from validate.originals.shap_e_trajectories import NETWORKS, compare

CODE = os.environ.get("T3EXPORT_SHAP_E_CODE")


@pytest.mark.slow
@pytest.mark.skipif(not CODE, reason="T3EXPORT_SHAP_E_CODE names no checkout of openai/shap-e")
@pytest.mark.parametrize("name", NETWORKS)
def test_all_that_is_compared_agrees(name):
    rows = list(compare(Path(str(CODE)), [name]))
    assert [row.output for row in rows if not row.passed] == []
    assert len(rows) == (4 if NETWORKS[name].decodes else 1)
