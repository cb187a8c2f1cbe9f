"""Rays that meet nothing are not rendered, and the picture stays what it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exporter.families.registry import load_model
from exporter.runtime.assets.cameras import PAN_ELEVATION, camera_rays, orbit_camera
from exporter.runtime.rendering import render_rays
from exporter.runtime.run import Run
from exporter.runtime.surface.occupancy import occupied_cells, rays_that_meet
from tests.exporter.tiny import tiny_recipe

RAYS = camera_rays(orbit_camera(40.0, PAN_ELEVATION, 4.0), 24)


def nearest_to(center, rays):
    offset = center - rays[:, 0]
    along = np.einsum("rc,rc->r", offset, rays[:, 1])
    return np.linalg.norm(offset - along[:, None] * rays[:, 1], axis=1)


@pytest.mark.parametrize("center", [(0, 0, 0), (0.6, -0.7, 0.4), (-0.8, 0.8, -0.8)])
def test_rays_through_a_ball_meet_it_and_those_far_from_it_do_not(center):
    cells = occupied_cells(lambda points: np.maximum(0.15 - np.linalg.norm(points - np.array(center), axis=1), 0))
    met, away = rays_that_meet(cells, RAYS), nearest_to(np.array(center), RAYS)
    assert met[away < 0.15].all() and not met[away > 0.3].any()


def test_a_ray_that_starts_inside_sees_only_what_lies_before_it():
    cells = occupied_cells(lambda points: np.maximum(0.2 - np.linalg.norm(points - [0.6, 0, 0], axis=1), 0))
    rays = np.float32([[[0, 0, 0], [1, 0, 0]], [[0, 0, 0], [-1, 0, 0]], [[0.6, 0, 0], [0, 0, 1]]])
    assert rays_that_meet(cells, rays).tolist() == [True, False, True]


def test_an_empty_field_is_met_by_no_ray():
    assert not rays_that_meet(occupied_cells(lambda points: np.zeros(len(points))), RAYS).any()


class Watched:
    """Programs, and how many rays each run of the renderer got."""

    def __init__(self, programs):
        self.programs = programs
        self.pipeline = programs.pipeline
        self.rendered = []

    def run_program(self, stage, arrays):
        if stage == "renderer":
            self.rendered.append(arrays["rays"].shape[1])
        return self.programs.run_program(stage, arrays)


def test_the_small_models_pictures_stay_the_same_and_most_rays_are_left_out():
    watched = Watched(load_model("shap-e", "shap-e-mini").original(tiny_recipe()))
    with np.load(Path(__file__).with_name("mini_latents.npz"), allow_pickle=False) as file:
        latents = file["latents"].astype(np.float32)
    for index in (0, 3):
        run = Run(watched, {"latents": latents[index : index + 1]})
        watched.rendered.clear()
        skipped = render_rays(run, RAYS, skip_empty=True)
        assert 0 < sum(watched.rendered) < 0.35 * len(RAYS)
        whole = render_rays(run, RAYS)
        assert whole.min() < 0.5 and np.abs(skipped - whole).max() < 1e-5
