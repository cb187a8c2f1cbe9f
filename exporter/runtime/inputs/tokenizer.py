"""Prompts to token ids, exactly as the reference's tokenizer with padding and truncation to the context."""

from __future__ import annotations

import numpy as np
from tokenizers import Tokenizer

from exporter.errors import BundleError
from exporter.runtime.inputs.cleaning import cleaned
from exporter.runtime.inputs.values import require_text


class PromptTokenizer:
    """A `tokenizers` file with the context length (begin and end included) and the padding id of the model; `clean`:
    what is done to a prompt before, as of `cleaned`."""

    def __init__(self, json: bytes, context_length: int, pad_id: int, clean: str = "none") -> None:
        try:
            self._tokenizer = Tokenizer.from_str(json.decode("utf-8"))
        except Exception as error:
            raise BundleError(f"the tokenizer file cannot be read: {error}") from None
        self.context_length, self.clean = context_length, clean
        self._tokenizer.enable_truncation(context_length)
        pad_token = self._tokenizer.id_to_token(pad_id) or ""
        self._tokenizer.enable_padding(length=context_length, pad_id=pad_id, pad_token=pad_token)

    def encode(self, prompts: list[str]) -> np.ndarray:
        """Token ids int64 [B, context_length]. Raises RecipeError for a prompt that is no Unicode text,
        EnvironmentProblem where cleaning needs a package that is not installed."""
        if not prompts:
            return np.zeros((0, self.context_length), np.int64)
        read = [cleaned(require_text(prompt), self.clean) for prompt in prompts]
        return np.array([encoding.ids for encoding in self._tokenizer.encode_batch(read)], np.int64)

    def cut_off(self, prompt: str) -> str:
        """The end of a prompt that does not fit into the context; empty when all of it does.

        Raises RecipeError for a prompt that is no Unicode text.
        """
        prompt = cleaned(require_text(prompt), self.clean)
        for overflow in self._tokenizer.encode(prompt).overflowing:
            for (start, _), special in zip(overflow.offsets, overflow.special_tokens_mask, strict=True):
                if not special:
                    return prompt[start:].strip()
        return ""
