"""Prompts to token ids, exactly as the reference's tokenizer with padding and truncation to the context."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from exporter.errors import BundleError
from exporter.runtime.assets.optional import optional
from exporter.runtime.inputs.byte_pairs import BytePairs, is_clips
from exporter.runtime.inputs.cleaning import cleaned
from exporter.runtime.inputs.values import require_text

LETTERS = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True)
class Read:
    """A prompt's tokens, what stands before and after them, and the character of the prompt that one begins in."""

    begin: list[int]
    ids: list[int]
    end: list[int]
    start: Callable[[int], int]


Reader = Callable[[str], Read]


class PromptTokenizer:
    """A file of the `tokenizers` library with the context length (begin and end included) and the padding id of the
    model; `clean`: what is done to a prompt before, as of `cleaned`.

    CLIP's kind is read by `BytePairs`, another by the library itself. `words`: those that are one token of CLIP's kind,
    some fifty of a small model's, some twenty thousand of CLIP's own; none of another kind. Raises BundleError for a
    file that is none, EnvironmentProblem where the library is needed and not installed.
    """

    def __init__(self, file: bytes, context_length: int, pad_id: int, clean: str = "none") -> None:
        self.context_length, self.pad_id, self.clean = context_length, pad_id, clean
        self._read, self._unknown, self.words = _reader(file)

    def encode(self, prompts: list[str]) -> np.ndarray:
        """Token ids int64 [B, context_length]. Raises RecipeError for a prompt that is no Unicode text,
        EnvironmentProblem where cleaning needs a package that is not installed."""
        ids = np.full((len(prompts), self.context_length), self.pad_id, np.int64)
        for row, prompt in zip(ids, prompts, strict=True):
            read = self._read(cleaned(require_text(prompt), self.clean))
            kept = [*read.begin, *read.ids[: self._room(read)], *read.end]
            row[: len(kept)] = kept
        return ids

    def cut_off(self, prompt: str) -> str:
        """The end of a prompt that does not fit into the context; empty when all of it does.

        Raises RecipeError for a prompt that is no Unicode text.
        """
        prompt = cleaned(require_text(prompt), self.clean)
        read = self._read(prompt)
        room = self._room(read)
        return prompt[read.start(room) :].strip() if len(read.ids) > room else ""

    def knows_no_word(self, prompt: str) -> bool:
        """Whether no word of two letters or more is one token: the model has hardly seen any of them.

        Raises RecipeError for a prompt that is no Unicode text.
        """
        words = LETTERS.findall(cleaned(require_text(prompt), self.clean))
        return not any(len(read.ids) == 1 and read.ids[0] != self._unknown for read in map(self._read, words))

    def _room(self, read: Read) -> int:
        return self.context_length - len(read.begin) - len(read.end)


def _reader(file: bytes) -> tuple[Reader, int | None, list[str]]:
    """What reads prompts, the id of what is unknown, and the words that are one token where that can be told."""
    try:
        data = json.loads(file)
        if is_clips(data):
            pairs = BytePairs(data)
            return partial(_read_by, pairs), pairs.unknown, pairs.words()
    except Exception as error:
        raise BundleError(f"the tokenizer file cannot be read: {error!r}") from None
    library = optional("tokenizers")
    try:
        tokenizer = library.Tokenizer.from_str(file.decode("utf-8"))
    except Exception as error:
        raise BundleError(f"the tokenizer file cannot be read: {error}") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def read(prompt: str) -> Read:
        encoding = tokenizer.encode(prompt)
        special = np.array(encoding.special_tokens_mask, bool)
        starts = [start for start, _ in encoding.offsets]
        own = np.flatnonzero(~special)
        first, last = (own[0], own[-1] + 1) if len(own) else (len(special) // 2,) * 2
        return Read(encoding.ids[:first], encoding.ids[first:last], encoding.ids[last:], starts[first:].__getitem__)

    unknown = getattr(tokenizer.model, "unk_token", None)
    return read, tokenizer.token_to_id(unknown) if unknown else None, []


def _read_by(pairs: BytePairs, prompt: str) -> Read:
    return Read([pairs.begin], pairs.tokens(prompt), [pairs.end], partial(pairs.start, prompt))
