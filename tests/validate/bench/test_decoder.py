"""A field fitted to a shape, and the benchmark against diffusers on it."""

from __future__ import annotations

import numpy as np
import pytest
from exporter.runtime.generator import decode_context, decoded_field

from exporter.families.shap_e.model import load
from exporter.runtime.surface.extract import sample
from tests.exporter.tiny import RENDER, sampler
from validate.bench.decoder import compare, count_missed


@pytest.fixture(scope="module")
def fitted():
    return load("shaped:random:shap-e-mini:ring")


def test_whatever_the_latents_the_field_is_the_shape(fitted):
    reference = fitted.reference(sampler(), RENDER)
    rng = np.random.default_rng(0)
    latents = np.tanh(rng.standard_normal((2, 1, *fitted.latent_shape))).astype(np.float32)
    first, second = (
        sample(decoded_field(reference, decode_context(reference, one)).distance, 24, exact=True)[0] for one in latents
    )
    assert np.array_equal(first, second)
    x, y, z = np.linspace(-1, 1, 24)[np.indices((24, 24, 24))]
    ring = np.hypot(np.hypot(x, y) - 0.55, z) < 0.2
    assert ((first > 0) & ring).sum() / ((first > 0) | ring).sum() > 0.7


def test_both_sides_are_timed_and_nothing_is_missed(fitted, tmp_path):
    latents = np.zeros((1, *fitted.latent_shape), np.float32)
    first, second = compare(fitted, latents, tmp_path, (24, 32), threads=1, seconds=0.1)
    assert first.missed == 0 and first.cells > 100 and first.growth is None
    assert second.growth == pytest.approx(second.speed.seconds / first.speed.seconds)
    assert 0 < second.sampling.share < 1 and second.speed.rounds >= 3
    assert second.to_dict()["sampling"]["share"] == second.sampling.share


def test_missed_cells_are_counted():
    """A part that no distance tells of lies between the coarse samples."""

    class Blind:
        def project(self, latents):
            return {}

        def field(self, points, context):
            ball = 0.4 - np.linalg.norm(points, axis=2, keepdims=True)
            speck = np.linalg.norm(points - 0.86, axis=2, keepdims=True) < 0.025
            return {"signed_distance": np.where(speck, 1.0, np.tanh(8 * ball)).astype(np.float32)}

    cells, missed = count_missed(Blind(), np.zeros((1, 1, 1), np.float32), 64)
    assert 0 < missed < cells
