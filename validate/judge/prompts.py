"""Prompt sets: the shipped ones, of captions with attributes and of pictures with captions, or a person's own file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from exporter.files.atomic import sha256_of
from validate.judge.judge_errors import PromptsError


@dataclass(frozen=True)
class Prompt:
    """A caption and what it states about the object; an under-specified caption leaves attributes out.

    `picture`: of a prompt for a model that takes pictures, the file; the caption is of the object in it.
    """

    text: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    picture: Path | None = None

    @property
    def given(self) -> str:
        """What a model makes the object of: the picture's path, or else the text."""
        return self.text if self.picture is None else str(self.picture)

    @property
    def identity(self) -> str:
        """The same wherever the picture lies: the digest of its bytes, or else the text."""
        return self.text if self.picture is None else sha256_of(self.picture)

    def satisfied_by(self, other: Prompt) -> bool:
        """Whether `other` states everything this prompt states."""
        return all(other.attributes.get(key) == value for key, value in self.attributes.items())


@dataclass(frozen=True)
class PromptSet:
    """Fully specified, under-specified and held-out captions as they stand in the file, repeats and all.

    A plain list of captions is all `full`.
    """

    full: tuple[Prompt, ...]
    under_specified: tuple[Prompt, ...] = ()
    held_out: tuple[Prompt, ...] = ()

    @property
    def captions(self) -> tuple[Prompt, ...]:
        """The large caption set retrieval chooses from: full and held-out captions, without repeats."""
        return once((*self.full, *self.held_out))

    @property
    def open_captions(self) -> tuple[Prompt, ...]:
        """The under-specified captions without repeats."""
        return once(self.under_specified)

    @property
    def pictured(self) -> tuple[Prompt, ...]:
        """The full and held-out captions that have a picture."""
        return tuple(prompt for prompt in (*self.full, *self.held_out) if prompt.picture)

    @property
    def repeated(self) -> tuple[str, ...]:
        """Captions that stand more than once in one of the lists, where one is judged once."""
        lists = (self.full, self.under_specified, self.held_out)
        counts = [Counter(prompt.text for prompt in prompts) for prompts in lists]
        return tuple(dict.fromkeys(text for count in counts for text, times in count.items() if times > 1))

    def first(self, count: int) -> tuple[Prompt, ...]:
        """The first `count` fully specified captions. Raises PromptsError where there are fewer."""
        if count > len(self.full):
            raise PromptsError(f"--prompts {count}: the shipped set has {len(self.full)} fully specified captions")
        return self.full[:count]


SECTIONS = ("full", "under_specified", "held_out")
FIELDS = ("text", "attributes", "picture")


def shipped_prompts() -> PromptSet:
    """The prompt set of the shipped small models that take text."""
    return load_prompts(_zoo() / "prompts.json")


def shipped_pictures() -> PromptSet:
    """Of those that take pictures: renders of objects that no model was trained on, with their captions."""
    return load_prompts(_zoo() / "pictures.json")


def load_prompts(path: Path | str, *, clean: bool = False) -> PromptSet:
    """Read a `.json` prompt set or a text file of one caption a line.

    In a text file blank lines are skipped, and comments: lines whose first word is made of `#` alone, so that
    `#1 chair` is a caption.
    JSON is either a list of captions or an object with `full`, `under_specified` and `held_out`; an entry is a
    caption or `{"text": …, "attributes": {…}, "picture": …}`, the picture a file by its path from that of the prompts.
    `clean` applies `clean_caption` to every caption.
    Raises PromptsError naming the file and the entry.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise PromptsError(f"prompts {path}: no such file, and no whole number of shipped prompts") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PromptsError(f"prompts {path}: cannot be read as UTF-8 text: {error}") from error
    sections = _json_sections(path, text) if path.suffix.lower() == ".json" else {"full": _lines(text)}
    parsed = {name: _entries(path, name, entries, clean) for name, entries in sections.items()}
    if not any(parsed.values()):
        raise PromptsError(f"prompts {path}: no caption found; write one caption a line, or a JSON list")
    return PromptSet(**parsed)


def clean_caption(caption: str) -> str:
    """Dream Fields' clean-up of COCO captions: lower case, no ` .` nor `,`, one full stop at the end."""
    return caption.lower().replace(" .", "").replace(",", "").strip().rstrip(".") + "."


def _zoo() -> Path:
    import exporter

    return Path(exporter.__path__[0]) / "zoo"


def once(prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """The first prompt of every text, in their order."""
    first: dict[str, Prompt] = {}
    for prompt in prompts:
        first.setdefault(prompt.text, prompt)
    return tuple(first.values())


def _lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and line.split()[0].strip("#")]


def _json_sections(path: Path, text: str) -> dict[str, Sequence[Any]]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise PromptsError(f"prompts {path}: not JSON: {error}") from error
    if isinstance(data, list):
        return {"full": data}
    if not isinstance(data, dict) or not set(data) <= set(SECTIONS) or not all(map(_is_list, data.values())):
        raise PromptsError(f"prompts {path}: expected a list of captions, or an object of lists named {list(SECTIONS)}")
    return {"full": [], **data}


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _entries(path: Path, section: str, entries: Sequence[Any], clean: bool) -> tuple[Prompt, ...]:
    prompts = []
    for index, entry in enumerate(entries):
        prompt = _entry(entry)
        if prompt is None:
            raise PromptsError(
                f"prompts {path}: {section}[{index}] is {entry!r}; an entry is a non-empty caption or "
                '{"text": "…", "attributes": {"name": "value"}, "picture": "a file"}'
            )
        if prompt.picture:
            picture = path.parent.absolute() / prompt.picture
            if not picture.is_file():
                raise PromptsError(f"prompts {path}: {section}[{index}]: there is no picture {picture}")
            prompt = replace(prompt, picture=picture)
        prompts.append(replace(prompt, text=clean_caption(prompt.text)) if clean else prompt)
    return tuple(prompts)


def _entry(entry: Any) -> Prompt | None:
    if isinstance(entry, str):
        return Prompt(entry.strip()) if entry.strip() else None
    if not isinstance(entry, dict) or not set(entry) <= set(FIELDS):
        return None
    text, attributes, picture = entry.get("text"), entry.get("attributes", {}), entry.get("picture")
    if not isinstance(text, str) or not text.strip() or not isinstance(attributes, dict):
        return None
    if not all(isinstance(value, str) for value in attributes.values()):
        return None
    if "picture" not in entry:
        return Prompt(text.strip(), attributes)
    return Prompt(text.strip(), attributes, Path(picture)) if isinstance(picture, str) and picture else None
