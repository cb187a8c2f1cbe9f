"""Rows to show and to keep."""

from __future__ import annotations

from exporter.machine.timing import Speed
from validate.table.table_result import Fidelity, Rate, Result, Table

SPEED = Speed(ratio=2.345, low=2.2, high=2.4, seconds=0.01, baseline_seconds=0.02345, rounds=20)
FIDELITY = Fidelity(snr_worst_db=7.25, snr_mean_db=11.5, latents_relative_l2=0.325, chamfer=float("inf"))
ORIGINAL = Result("original", "PyTorch", "original", rate=Rate(93.125, 90.0, 95.5, 160), step=SPEED)
BASELINE = Result("fp32", "FP32", "baseline", bundle_digest="ab" * 32, stored_bytes=10_000_000)
INT8 = Result(
    "int8",
    "INT8 | naive",
    "row",
    bundle_digest="cd" * 32,
    rate=Rate(71.9, 66.7, 76.5, 160, p_value=0.00123),
    hard_rate=Rate(50.0, 44.5, 55.5, 1000, p_value=0.5),
    fidelity=FIDELITY,
    stored_bytes=2_600_000,
    step=SPEED,
    end_to_end=SPEED,
    peak_bytes=123_400_000,
)
FAILED = Result("tiny", "smallest", "row", reason="no such file:\n  tiny.yaml")
PEER = Result("peer", "another", "peer", note="projector left in fp32 (IndexError)", stored_bytes=5_000_000)
SETTINGS = {
    "scheduler": "heun", "steps": 64, "evaluations": 127, "guidance_scale": 3.0, "grid": 128, "followed_prompts": 8,
    "threads": 2, "prompts": 160, "seeds": 2, "views": "grid 64³", "judge": {"name": "judge", "digest": "ef"},
}  # fmt: skip


def table(**changes):
    rows = [ORIGINAL, BASELINE, INT8, FAILED, PEER]
    given = {"weights": "shap-e-mini", "trained": True, "synthetic": False, "settings": SETTINGS, "rows": rows}
    return Table(recipe="shape_e_fp32", target="cpu", **given | changes)
