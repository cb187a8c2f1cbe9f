"""Tolerances that nothing misses, for bundles that are built to be measured and not to be shipped."""

from __future__ import annotations

# A row is measured however bad it is: nothing but a value that is not finite stops its build.
LAX: dict[str, float] = {
    "stage_snr_db": -1e3,
    "trajectory_snr_db": -1e3,
    "latents_relative_l2": 1e3,
    "mesh_iou": 0.0,
    "chamfer": 1e3,
    "render_psnr_db": -1e3,
}
