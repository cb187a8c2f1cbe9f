"""CLIP's byte-pair tokenizer in plain Python: all that most text-to-3D models read prompts with, and a tenth of the
size of the `tokenizers` library, whose file it reads."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from heapq import heappop, heappush
from itertools import islice
from typing import Any

# What CLIP's files say, and this module does.
NORMALIZER = {
    "type": "Sequence",
    "normalizers": [
        {"type": "NFC"},
        {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "},
        {"type": "Lowercase"},
    ],
}
WORDS = "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"
PRE_TOKENIZER = {
    "type": "Sequence",
    "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Removed", "invert": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    ],
}
MODEL = {"type": "BPE", "dropout": None, "continuing_subword_prefix": "", "end_of_word_suffix": "</w>"} | dict.fromkeys(
    ("fuse_unk", "byte_fallback", "ignore_merges"), False
)
END_OF_WORD = "</w>"
# Unicode's White_Space; Python's own \s has four control characters more.
SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
SPACE_RUN = re.compile(f"[{SPACES}]+")
ABBREVIATED = re.compile("'(?:s|t|re|ve|m|ll|d)")
SPECIAL = re.compile(r"(<\|)((?:start|end)oftext)(\|>)")


def is_clips(file: dict[str, Any]) -> bool:
    """Whether a file of the `tokenizers` library is one that `BytePairs` reads as the library does."""
    model = file.get("model", {})
    return (
        file.get("normalizer") == NORMALIZER
        and file.get("pre_tokenizer") == PRE_TOKENIZER
        and file.get("post_processor", {}).get("type") == "RobertaProcessing"
        and all(model.get(name) == value for name, value in MODEL.items())
        and not any(token[flag] for token in file["added_tokens"] for flag in ("single_word", "lstrip", "rstrip"))
        and not any(token["normalized"] for token in file["added_tokens"])
    )


class BytePairs:
    """A tokenizer whose file `is_clips`; `begin` and `end`: the ids around every prompt; `unknown`: of what no token
    stands for."""

    def __init__(self, file: dict[str, Any]) -> None:
        model, around = file["model"], file["post_processor"]
        self._ids: dict[str, int] = model["vocab"]
        self.unknown = self._ids[model["unk_token"]]
        pairs = (tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"])
        self._ranks = {pair: rank for rank, pair in enumerate(pairs)}
        self._added = {token["content"]: token["id"] for token in file["added_tokens"]}
        longest_first = sorted(self._added, key=len, reverse=True)
        self._at_added = re.compile(f"({'|'.join(map(re.escape, longest_first))})") if longest_first else None
        self.begin, self.end = int(around["cls"][1]), int(around["sep"][1])
        self._symbols_of = lru_cache(4096)(self._merged)

    def tokens(self, prompt: str) -> list[int]:
        """The ids of a whole prompt, without the ones around it."""
        return [token for token, *_ in self._placed(prompt)]

    def start(self, prompt: str, index: int) -> int:
        """The character of a prompt that a token of it begins in."""
        _, part, place, at = next(islice(self._placed(prompt), index, None))
        return place + _origin(part, at)

    def words(self) -> list[str]:
        """Those that are one token, without ends of others, which pairs were joined to on the way to them."""
        whole = {symbol.removesuffix(END_OF_WORD) for symbol in self._ids if symbol.endswith(END_OF_WORD)}
        ends = {word[at:] for word in whole for at in range(1, len(word))}
        return sorted(word for word in whole - ends if len(word) > 1 and word.isascii() and word.isalpha())

    def _placed(self, prompt: str) -> Iterator[tuple[int, str, int, int]]:
        """Tokens, each with the part of the prompt it is in, where that begins, and where it begins in the part as
        normalized."""
        place = 0
        for part in self._at_added.split(prompt) if self._at_added else [prompt]:
            if part in self._added:
                yield self._added[part], part, place, 0
            else:
                yield from ((token, part, place, at) for token, at in self._of_text(normalized(part)))
            place += len(part)

    def _of_text(self, text: str) -> Iterator[tuple[int, int]]:
        for start, word in _words(text):
            # Where in the word every byte of it begins, and with it every token.
            of_byte = [i for i, letter in enumerate(word) for _ in letter.encode()]
            byte = 0
            for symbol in self._symbols_of(word):
                yield self._ids.get(symbol, self.unknown), start + of_byte[byte]
                byte += len(symbol.removesuffix(END_OF_WORD)) if symbol in self._ids else 1

    def _merged(self, word: str) -> list[str]:
        """A word's bytes joined pair by pair, those of the lowest rank first and of these the leftmost (Sennrich et
        al., 2016)."""
        symbols = [BYTES[byte] for byte in word.encode()]
        symbols[-1] += END_OF_WORD
        after, before = list(range(1, len(symbols) + 1)), list(range(-1, len(symbols) - 1))
        waiting: list[tuple[int, int]] = []

        def rank(left: int) -> int | None:
            right = after[left]
            return self._ranks.get((symbols[left], symbols[right])) if right < len(symbols) else None

        def consider(left: int) -> None:
            if left >= 0 and (found := rank(left)) is not None:
                heappush(waiting, (found, left))

        for left in range(len(symbols)):
            consider(left)
        while waiting:
            found, left = heappop(waiting)
            if rank(left) != found:
                continue  # one of the two was joined to another since
            right = after[left]
            symbols[left], symbols[right] = symbols[left] + symbols[right], ""
            after[left] = after[right]
            if after[left] < len(symbols):
                before[after[left]] = left
            consider(before[left])
            consider(left)
        return [symbol for symbol in symbols if symbol]


def normalized(text: str) -> str:
    """Composed, every run of white space one space, and letter by letter in lower case."""
    spaced = SPACE_RUN.sub(" ", unicodedata.normalize("NFC", text))
    # Of a whole word Python would make a Σ at its end a ς.
    return "".join(letter.lower() for letter in spaced)


def _words(text: str) -> Iterator[tuple[int, str]]:
    """Where each word begins, and the word: letters, one digit, other signs, or an abbreviated verb such as 's."""
    start = 0
    while start < len(text):
        if special := SPECIAL.match(text, start):
            yield from ((special.start(i), special[i]) for i in (1, 2, 3))
            start = special.end()
            continue
        abbreviated = ABBREVIATED.match(text, start)
        end = abbreviated.end() if abbreviated else start + 1
        kind = _kind(text[start])
        if not abbreviated and kind in "LO":
            while end < len(text) and _kind(text[end]) == kind:
                end += 1
        if kind != " ":
            yield start, text[start:end]
        start = end


def _kind(letter: str) -> str:
    """L for a letter, N for a digit, a space, O for all else."""
    if SPACE_RUN.match(letter):
        return " "
    kind = unicodedata.category(letter)[0]
    return kind if kind in "LN" else "O"


def _origin(text: str, at: int) -> int:
    """The character of a text that character `at` of the normalized text was made of."""
    if normalized(text) == text:
        return at
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if len(normalized(text[:middle])) <= at:
            low = middle
        else:
            high = middle - 1
    return low


def _byte_letters() -> dict[int, str]:
    """A letter for every byte (GPT-2): its own where that can be seen, or else one from 256 on."""
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in seen]
    return {byte: chr(byte) for byte in seen} | {byte: chr(256 + i) for i, byte in enumerate(others)}


BYTES = _byte_letters()
