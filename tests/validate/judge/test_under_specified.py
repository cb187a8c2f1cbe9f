"""Diversity, sharpness and consistency where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from validate.judge.prompts import Prompt
from validate.judge.under_specified import best_cosine, consistent, consistent_captions, diversity, sharpness

CAPTIONS = [
    Prompt("a red ball", {"shape": "ball", "color": "red"}),
    Prompt("a blue ball", {"shape": "ball", "color": "blue"}),
    Prompt("a red box", {"shape": "box", "color": "red"}),
]


def sphere(points: np.ndarray) -> np.ndarray:
    return 0.5 - np.linalg.norm(points, axis=-1)


def test_diversity_is_zero_for_copies_and_one_for_orthogonal_objects() -> None:
    assert diversity(np.ones((3, 5))) == pytest.approx(0)
    assert diversity(np.eye(3) * 7) == pytest.approx(1)
    with pytest.raises(ValueError, match="two seeds"):
        diversity(np.ones((1, 5)))


def test_sharpness_is_the_slope_at_the_surface() -> None:
    directions = np.random.default_rng(0).normal(size=(3000, 3))
    surface = 0.5 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    assert sharpness(sphere, surface) == pytest.approx(1, abs=0.01)
    assert sharpness(lambda points: 7 * sphere(points), surface) == pytest.approx(7, abs=0.05)
    assert sharpness(sphere, surface[:0]) == 0


def test_a_mean_of_two_objects_is_less_sharp_than_either() -> None:
    def steep(shift: float):
        return lambda points: np.tanh(20 * sphere(points - np.array([shift, 0, 0])))

    def mean(points: np.ndarray) -> np.ndarray:
        return (steep(-0.1)(points) + steep(0.1)(points)) / 2

    poles = np.array([[0.5, 0.0, 0.0], [-0.5, 0.0, 0.0]])
    assert sharpness(mean, poles) < 0.5 * sharpness(steep(0), poles)


def test_consistency_asks_only_for_what_the_prompt_states() -> None:
    embeddings = np.eye(3)
    objects = np.array([[0.1, 0.9, 0], [0, 0.1, 0.8]])
    ball = consistent_captions(Prompt("a ball", {"shape": "ball"}), CAPTIONS)
    assert ball.tolist() == [True, True, False]
    assert consistent(objects, embeddings, ball).tolist() == [True, False]
    assert best_cosine(objects, embeddings, ball) == pytest.approx([0.9, 0.1])
    with pytest.raises(ValueError, match="no fully specified caption"):
        best_cosine(objects, embeddings, consistent_captions(Prompt("a cat", {"shape": "cat"}), CAPTIONS))
