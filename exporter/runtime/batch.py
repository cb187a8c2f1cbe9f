"""Many prompts through one generator, a few at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

from exporter.runtime.generator import Generator
from exporter.runtime.inputs.noise import noise

MOST_AT_ONCE = 16
NUMBERS_AT_ONCE = 1 << 20


def batch_size(latent_shape: tuple[int, int]) -> int:
    """How many objects to sample together: 16 small ones, one of Shap-E's full size."""
    return max(1, min(MOST_AT_ONCE, NUMBERS_AT_ONCE // math.prod(latent_shape)))


def sample_prompts(
    generator: Generator,
    prompts: Sequence[str],
    seed: int = 0,
    on_evaluation: Callable[[int], None] | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """The index and the latents [1, N, D] of each prompt, in order.

    Every prompt starts from the noise of `seed`, so that a prompt gives the same object alone as among others: each is
    the first object of its seed, where recorded and scored prompts are the objects of consecutive seeds.
    `on_evaluation(objects)` is told after every denoiser evaluation how many objects it moved on.
    """
    size = batch_size(generator.latent_shape)
    start_noise = noise(seed, (1, *generator.latent_shape))
    embeddings = _embeddings(generator, prompts)
    for start in range(0, len(prompts), size):
        chunk = list(prompts[start : start + size])

        def told(step: int, sample: np.ndarray, prediction: np.ndarray) -> None:
            if on_evaluation:
                on_evaluation(len(sample))

        embedding = np.stack(list(islice(embeddings, len(chunk))))
        latents = generator.sample(embedding, np.repeat(start_noise, len(chunk), axis=0), told)
        for offset in range(len(chunk)):
            yield start + offset, latents[offset : offset + 1]


def _embeddings(generator: Generator, prompts: Sequence[str]) -> Iterator[np.ndarray]:
    """The embedding [E] of each prompt in turn; the text encoder takes 16 at once whatever the size of latents."""
    for start in range(0, len(prompts), MOST_AT_ONCE):
        yield from generator.encode(list(prompts[start : start + MOST_AT_ONCE]))
