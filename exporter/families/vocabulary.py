"""Does a tokenizer tell words apart? One that was made up for want of its files gives every word the same id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from exporter.errors import WeightsError

WORDS = ("red", "blue", "green", "chair", "table", "mug", "small", "tall")


def require_words_told_apart(ids_of: Callable[[str], Sequence[int]], known: int, place: Path) -> None:
    """Checks a tokenizer, `ids_of(text)`, of a text encoder with `known` ids; `place` is where it was read.

    Raises WeightsError where two words have the same ids, or a word has one that the text encoder does not know.
    """
    first: dict[tuple[int, ...], str] = {}
    for word in WORDS:
        ids = tuple(ids_of(word))
        if ids in first:
            raise WeightsError(
                f"{place}: '{first[ids]}' and '{word}' get the same ids {list(ids)}: this is not the vocabulary that "
                "the text encoder was trained with. Download the tokenizer's files again"
            )
        first[ids] = word
    if (largest := max(max(ids) for ids in first)) >= known:
        raise WeightsError(
            f"{place}: gives the id {largest}, and the text encoder knows {known} (text_encoder/config.json, "
            "vocab_size): the two belong to different models"
        )
