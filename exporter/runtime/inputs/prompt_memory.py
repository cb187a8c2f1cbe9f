"""Embeddings of prompts, each computed once: a repeated prompt costs no text encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

MOST = 4096


class PromptMemory:
    """Prompts to embeddings [B, E]. The text encoder sees each new prompt once, all new ones of a call together.

    Of more than `most` prompts those that were asked for longest ago are forgotten.
    """

    def __init__(self, encode: Callable[[list[str]], np.ndarray], most: int = MOST) -> None:
        self._encode = encode
        self._most = most
        self._known: dict[str, np.ndarray] = {}

    def __call__(self, prompts: Sequence[str]) -> np.ndarray:
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._known]
        if new:
            self._known |= zip(new, self._encode(new), strict=True)
        found = np.stack([self._known[prompt] for prompt in prompts])
        for prompt in prompts:
            self._known[prompt] = self._known.pop(prompt)
        for prompt in list(self._known)[: -self._most]:
            del self._known[prompt]
        return found
