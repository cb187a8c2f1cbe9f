"""A recipe of the tiny random Shap-E with little to calibrate on."""

from __future__ import annotations

from exporter.recipe.recipe import Recipe

TOLERANCES = {
    "stage_snr_db": 5.0,
    "trajectory_snr_db": 5.0,
    "latents_relative_l2": 1.0,
    "mesh_iou": 0.5,
    "chamfer": 0.1,
    "render_psnr_db": 5.0,
}


def tiny_recipe(folder, *, precisions=("fp32", "int8", "int4_weights"), **quantization):
    calibration = {"prompts": ["a red chair", "a blue mug", "a tall table"], "steps": 4, "evaluations": 4, "batch": 2}
    return Recipe.model_validate(
        {
            "name": "tiny",
            "model": {"family": "shap-e", "weights": str(folder)},
            "sampler": {"scheduler": "heun", "steps": 4, "guidance_scale": 3.0},
            "mesh": {"grid": 16},
            "render": {"size": 16, "coarse_samples": 8, "fine_samples": 12},
            "quantization": {"rules": [], "calibration": calibration} | quantization,
            "goldens": {"prompts": ["a red chair"], "seed": 3},
            "validation": {"prompts": 4, "tolerances": dict.fromkeys(precisions, TOLERANCES)},
        }
    )
