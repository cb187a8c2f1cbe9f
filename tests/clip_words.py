"""A tokenizer of CLIP's kind that knows a few words as one token each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

SHIPPED = Path(__file__).parents[1] / "exporter/zoo/shap_e_mini/tokenizer/tokenizer.json"


def clip_tokenizer_file(words: Sequence[str], begin: int, end: int, unknown: str) -> bytes:
    """A word's id is its place; words[begin] and words[end] stand around every prompt, letters come after them."""
    file = json.loads(SHIPPED.read_text())
    ids = {f"{word}</w>": place for place, word in enumerate(words)}
    merges: list[list[str]] = []
    for word in words:
        letters = [*word[:-1], f"{word[-1]}</w>"]
        for at in range(1, len(letters)):
            pair = ["".join(letters[:at]), letters[at]]
            merges += [pair] if pair not in merges else []
            for symbol in (*pair, "".join(pair)):
                ids.setdefault(symbol, len(ids))
    file["model"] |= {"vocab": ids, "merges": merges, "unk_token": f"{unknown}</w>"}
    file["added_tokens"] = []
    file["post_processor"] |= {"cls": [words[begin], begin], "sep": [words[end], end]}
    return json.dumps(file).encode()
