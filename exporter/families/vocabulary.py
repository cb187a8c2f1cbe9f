"""Does a tokenizer tell words apart? One that was made up for want of its files gives every word the same id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from exporter.errors import WeightsError

# What OpenAI's own tokenizer makes of these (`clip.tokenize`, between the ids of begin and end).
CLIPS_SIZE = 49408
CLIPS_IDS = {
    "Hello World!": [3306, 1002, 256],
    "a photo of a cat": [320, 1125, 539, 320, 2368],
    "the brown fox jumps over the lazy dog": [518, 2866, 3240, 18911, 962, 518, 10753, 1929],
}
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


def require_clips_own(ids_of: Callable[[str], Sequence[int]], size: int, place: Path) -> None:
    """Checks a tokenizer as large as CLIP's, as `require_words_told_apart` does, against what CLIP's is known to give.

    One with the right files in a wrong order would mislead the bundle and the original alike. Raises WeightsError.
    """
    if size != CLIPS_SIZE:
        return
    begin, end = CLIPS_SIZE - 2, CLIPS_SIZE - 1
    for text, known in CLIPS_IDS.items():
        if (found := list(ids_of(text))) != (expected := [begin, *known, end]):
            raise WeightsError(
                f"{place}: {text!r} gets the ids {found}, and CLIP's tokenizer, which is as large as this one, gives "
                f"{expected}. Download the tokenizer's files again"
            )
