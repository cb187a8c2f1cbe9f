"""What coarse to fine may not miss, and what it may: thin, detached and many-part shapes, steep and flat fields."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.families.registry import load_model
from exporter.runtime.run import Run
from exporter.runtime.surface import clearance
from exporter.runtime.surface.decoded import field_of
from exporter.runtime.surface.extract import sample
from exporter.runtime.surface.near_surface import certain_size, coarse_stride, sample_near_surface
from exporter.runtime.surface.squash import PLAIN, TANH, Squash
from tests.exporter.runtime.fields import ball, box, nothing, of, torus, union
from tests.exporter.tiny import tiny_recipe

CELL = 2 / 63


def needle(half_width, direction):
    """An endless needle through the middle, cut to a length of 1.2."""
    axis = np.array(direction) / np.linalg.norm(direction)

    def distance(points):
        along = points @ axis
        return np.minimum(half_width - np.linalg.norm(points - along[:, None] * axis, axis=1), 0.6 - abs(along))

    return of(distance)


def specks(count, radius, seed):
    centers = np.random.default_rng(seed).uniform(-0.9, 0.9, (count, 3))
    return union(*(ball(radius, tuple(center)) for center in centers))


SHAPES = {
    "a sheet thinner than a cell": box((0.7, 0.6, 0.4 * CELL), (0, 0, 0.01)),
    "a sheet across the lattice": of(lambda p: 0.6 * CELL - abs(p @ np.array([2, 3, 6]) / 7 - 0.1)),
    "a needle": needle(0.8 * CELL, (1, 2, 3)),
    "a thin ring": of(lambda p: CELL - np.hypot(np.hypot(p[:, 0], p[:, 1]) - 0.6, p[:, 2] - 0.015)),
    "a speck": union(ball(0.4, (-0.4, 0, 0)), ball(0.03, (0.7, 0.69, 0.68))),
    "many specks": specks(40, 1.1 * CELL, 0),
    "parts that almost touch": union(box((0.3, 0.3, 0.3), (-0.31, 0, 0)), box((0.3, 0.3, 0.3), (0.31, 0, 0))),
    "a bubble": of(lambda p: np.minimum(ball(0.8).distance(p), -ball(1.2 * CELL, (0.2, 0.1, 0.3)).distance(p))),
    "a shell": of(lambda p: 0.5 * CELL - abs(np.linalg.norm(p, axis=1) - 0.6)),
    "a comb": union(*(box((0.012, 0.5, 0.4), (x, 0, 0)) for x in (-0.6, -0.2, 0.2)), box((0.7, 0.7, 0.05))),
    "a post at the border": box((0.03, 0.03, 1.0), (0.97, -0.97, 0)),
}  # fmt: skip
FORMS = {
    "a distance": lambda d: d,
    "a trained field, squashed": lambda d: np.tanh(8 * d).astype(np.float32),
    "half precision": lambda d: np.tanh(8 * d).astype(np.float16),
    "steep": lambda d: 25 * d,
    "flat": lambda d: 0.01 * d,
    "steeper inside": lambda d: np.where(d > 0, np.tanh(12 * d), np.tanh(6 * d)),
    "rippled": lambda d: np.tanh(8 * d * (1 + 0.3 * np.sin(20 * d))),
}


DENSITY = Squash("exp", 25.0)
DENSITIES = {
    "a density": lambda d: (25 * np.exp(10 * d) - 25).astype(np.float32),
    "a density in half precision": lambda d: (25 * np.exp(10 * d) - 25).astype(np.float16),
    "a density that reaches far": lambda d: 25 * np.exp(2 * d) - 25,
    "a density with ripples": lambda d: 25 * np.exp(8 * d * (1 + 0.3 * np.sin(20 * d))) - 25,
}


def missed(distance, grid, squash=TANH):
    """Of the lattice's points, how many have another sign than asked for directly; and the share that was asked."""
    near, sampling = sample(distance, grid, exact=False, squash=squash)
    exact, _ = sample(distance, grid, exact=True)
    return int(((near > 0) != (exact > 0)).sum()), sampling.share, int((exact > 0).sum())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SHAPES)
def test_nothing_is_missed_of_a_field_whose_slope_is_even(name, form):
    wrong, share, inside = missed(lambda points: FORMS[form](SHAPES[name].distance(points)), 64)
    assert wrong == 0 and inside > 0
    assert share < 0.9 or form == "steep"  # it saturates within a block: nothing can be ruled out


@pytest.mark.parametrize("form", DENSITIES)
@pytest.mark.parametrize("name", SHAPES)
def test_nothing_is_missed_of_a_density_whose_logarithm_is_even(name, form):
    def excess(points):
        return DENSITIES[form](SHAPES[name].distance(points))

    wrong, share, inside = missed(excess, 64, DENSITY)
    assert wrong == 0 and inside > 0 and share < 0.9


def test_a_density_taken_as_it_is_would_be_asked_nearly_everywhere():
    """Its own slope inside is a thousand times that at the surface."""

    def excess(points):
        return DENSITIES["a density"](SHAPES["a bubble"].distance(points))

    assert missed(excess, 64, DENSITY)[1] < 0.6 * missed(excess, 64, PLAIN)[1]


@pytest.mark.parametrize("name", SHAPES)
def test_three_fifths_of_the_bound_would_do(name, monkeypatch):
    """How much of the guard is margin."""
    monkeypatch.setattr(clearance, "SAFETY", 0.6 * clearance.SAFETY)
    for form in FORMS.values():
        assert missed(lambda points, form=form: form(SHAPES[name].distance(points)), 64)[0] == 0
    for form in DENSITIES.values():
        assert missed(lambda points, form=form: form(SHAPES[name].distance(points)), 64, DENSITY)[0] == 0


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), grid=st.integers(20, 72), scale=st.floats(0.1, 30), squashed=st.booleans())
def test_nothing_is_missed_of_random_parts(seed, grid, scale, squashed):
    rng = np.random.default_rng(seed)
    parts = [ball(radius, tuple(rng.uniform(-0.9, 0.9, 3))) for radius in rng.uniform(0.01, 0.2, rng.integers(1, 8))]
    parts += [box(tuple(rng.uniform(0.01, 0.4, 3)), tuple(rng.uniform(-0.6, 0.6, 3))) for _ in range(rng.integers(3))]
    field = union(*parts)
    squash = np.tanh if squashed else np.asarray
    assert missed(lambda points: squash(scale * field.distance(points)), grid)[0] == 0


def step(field):
    """Inside or out and nothing between, so that no distance tells of the part."""
    return of(lambda points: np.where(field.distance(points) > 0, 1.0, -1.0))


squashed_ball = of(lambda points: np.tanh(8 * ball(0.45).distance(points)))


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), grid=st.integers(48, 80))
def test_a_part_or_hole_of_the_certain_size_is_found_in_any_field(seed, grid):
    radius = 1.0001 * certain_size(grid) / 2
    center = np.random.default_rng(seed).uniform(-1 + radius, 1 - radius, 3)
    part = union(squashed_ball, step(ball(radius, tuple(center))))
    for field in (part, of(lambda points: -part.distance(points))):
        wrong, share, _ = missed(field.distance, grid)
        assert wrong == 0 and share < 1


def test_a_smaller_part_that_nothing_tells_of_is_missed():
    part = union(squashed_ball, step(ball(0.03, (0.705, 0.69, 0.68))))
    wrong, _, inside = missed(part.distance, 64)
    assert 0 < wrong < inside


def test_a_surface_is_followed_where_no_distance_tells_of_it():
    """A tail of one cell's width, to the border, of a field that is a step."""
    tail = of(lambda p: np.where((abs(p[:, 1] - 0.011) < CELL / 2) & (abs(p[:, 2] - 0.012) < CELL / 2), 1.0, -1.0))
    wrong, share, _ = missed(union(tail, squashed_ball).distance, 64)
    assert wrong == 0 and share < 0.75


@pytest.mark.parametrize(("grid", "stride"), [(8, 2), (63, 2), (64, 2), (96, 2), (128, 4), (256, 8), (512, 16)])
def test_the_certain_size_is_the_diagonal_of_a_coarse_block(grid, stride):
    assert coarse_stride(grid) == stride
    assert certain_size(grid) == pytest.approx(math.sqrt(3) * stride * 2 / (grid - 1))


def test_points_grow_with_the_surface():
    points = [sample(torus.distance, grid, exact=False)[1].points for grid in (64, 128, 256)]
    assert points[1] < 0.12 * 128**3 and points[2] < 4.2 * points[1]


def test_every_point_is_asked_once_and_the_rest_have_the_right_sign():
    asked = np.zeros((64, 64, 64), int)
    exact, _ = sample(torus.distance, 64, exact=True)

    def distance(indices):
        np.add.at(asked, tuple(indices.T), 1)
        return exact[tuple(indices.T)]

    values, known = sample_near_surface(distance, 64)
    assert np.array_equal(asked, known)
    assert np.array_equal(values[known], exact[known]) and np.array_equal(values > 0, exact > 0)


def test_an_empty_field_costs_the_coarse_samples():
    _, sampling = sample(nothing.distance, 128, exact=False)
    assert sampling.points == 33**3


@pytest.mark.parametrize("index", range(4))
def test_nothing_is_missed_of_the_small_models_objects(index, small_model):
    """Recorded latents of a chair, a table, a mug and a ring, by the shipped weights."""
    with np.load(Path(__file__).with_name("mini_latents.npz"), allow_pickle=False) as file:
        latents = file["latents"][index : index + 1].astype(np.float32)
    distance = field_of(Run(small_model, {"latents": latents})).distance
    wrong, share, inside = missed(distance, 64)
    assert wrong == 0 and inside > 500 and share < 0.35


@pytest.fixture(scope="module")
def small_model():
    return load_model("shap-e", "shap-e-mini").original(tiny_recipe())
