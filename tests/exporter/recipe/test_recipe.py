"""What a recipe's parts work out by themselves."""

from __future__ import annotations

from exporter.recipe.validation_section import Tolerances


def test_stages_of_several_precisions_may_stray_as_the_laxest_limits_allow():
    strict = Tolerances(
        stage_snr_db=90, trajectory_snr_db=90, latents_relative_l2=0.1, mesh_iou=0.99, chamfer=0.01, render_psnr_db=60
    )
    other = strict.model_copy(update={"stage_snr_db": 25.0, "latents_relative_l2": 0.05, "chamfer": 0.02})
    assert Tolerances.together([strict]) == strict
    assert Tolerances.together([strict, other]) == strict.model_copy(update={"stage_snr_db": 25.0, "chamfer": 0.02})
