"""Which objects a pipeline makes for the judge, and the captions that it chooses from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from exporter.pipeline.pipeline import Pipeline
from validate.judge.judge_errors import PromptsError
from validate.judge.prompts import Prompt, PromptSet, load_prompts, once, shipped_pictures, shipped_prompts

UNDER_SPECIFIED_SHARE = 8


@dataclass(frozen=True)
class WantedObjects:
    """The prompts to make, those left open, and the captions to choose from, which begin with those of the prompts."""

    prompts: tuple[Prompt, ...]
    under_specified: tuple[Prompt, ...]
    captions: tuple[Prompt, ...]


def wanted_objects(pipeline: Pipeline, choice: int | Path, *, clean: bool = False) -> WantedObjects:
    """`choice`: how many of the shipped prompts, or a file. `clean`: its captions are cleaned up.

    A pipeline that takes pictures alone makes an object of each picture, and the judge looks for the picture's caption;
    captions without a picture are only chosen from, and a picture leaves nothing open. To the shipped pictures belong
    the shipped captions.
    Raises PromptsError for a file that does not fit, and for more than there are.
    """
    given = _read(choice, clean) if isinstance(choice, Path) else None
    if pipeline.texts:
        return _of_texts(given or shipped_prompts(), choice)
    return _of_pictures(given or shipped_pictures(), () if given else shipped_prompts().captions, choice)


def _read(path: Path, clean: bool) -> PromptSet:
    own = load_prompts(path, clean=clean)
    if len(own.captions) < 2:
        raise PromptsError(f"prompts {path}: retrieval needs at least two full captions to choose from")
    return own


def _of_texts(known: PromptSet, choice: int | Path) -> WantedObjects:
    if isinstance(choice, Path):
        return WantedObjects(*(_as_texts(prompts) for prompts in (known.captions, known.open_captions, known.captions)))
    left_open = known.under_specified[: max(1, choice // UNDER_SPECIFIED_SHARE)]
    return WantedObjects(known.first(choice), left_open, known.captions)


def _as_texts(prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    return tuple(replace(prompt, picture=None) for prompt in prompts)


def _of_pictures(known: PromptSet, others: Sequence[Prompt], choice: int | Path) -> WantedObjects:
    pictured = known.pictured
    if isinstance(choice, Path) and not pictured:
        raise PromptsError(
            f"prompts {choice}: this pipeline takes pictures, and no caption there has one; write a JSON list of "
            '{"text": "a red chair", "picture": "chair.png"}'
        )
    if isinstance(choice, int) and choice > len(pictured):
        raise PromptsError(f"--prompts {choice}: {len(pictured)} pictures with captions are shipped")
    prompts = pictured if isinstance(choice, Path) else pictured[:choice]
    return WantedObjects(prompts, (), once(_as_texts((*pictured, *known.captions, *others))))
