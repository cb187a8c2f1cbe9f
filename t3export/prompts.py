"""Prompts from the command line and from files, and the files that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from exporter.errors import RecipeError, first_of
from t3export.output import print_note


def read_prompts(given: Sequence[str], choice: int | Path | None) -> list[str]:
    """The prompts of --prompt, and those that `prompt_choice` found in --prompts.

    Raises RecipeError or PromptsError (exit code 2) when there is none, or one of --prompt is empty.
    """
    if any(not prompt.strip() for prompt in given):
        raise RecipeError('--prompt is empty: say what to make, for example --prompt "a red chair"')
    prompts = [*given, *(_chosen(choice) if choice else ())]
    for prompt in prompts:
        if not prompt.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in prompt):
            raise RecipeError(f"the prompt {prompt!r} is not valid Unicode; write it as UTF-8")
    if not prompts:
        raise RecipeError("no prompt: give --prompt TEXT, or --prompts FILE with one prompt a line")
    return prompts


def _chosen(choice: int | Path) -> list[str]:
    from validate.judge.prompts import load_prompts, shipped_prompts

    if isinstance(choice, int):
        return [prompt.text for prompt in shipped_prompts().first(choice)]
    own = load_prompts(choice)
    return [prompt.text for prompt in (*own.full, *own.held_out, *own.under_specified)]


def numbered(path: Path, index: int) -> Path:
    """chair.glb of the first prompt: chair_0000.glb."""
    return path.with_name(f"{path.stem}_{index:04d}{path.suffix}")


def prompt_choice(text: str | None) -> int | Path | None:
    """What --prompts N|FILE means: how many shipped prompts, a file, or the recipe's own number (None).

    Raises UsageError for none at all.
    """
    if text is None:
        return None
    if not text.isdecimal():
        return Path(text)
    if int(text) == 0:
        raise click.UsageError("--prompts needs at least 1 prompt")
    return int(text)


def judged_choice(text: str | None, clean: bool = False) -> int | Path | None:
    """The same where the prompts are judged; a note says which of a file's stand there more than once.

    Raises UsageError as `prompt_choice`, PromptsError for a file that cannot be read.
    """
    from validate.judge.prompts import load_prompts

    choice = prompt_choice(text)
    if isinstance(choice, Path) and (repeated := load_prompts(choice, clean=clean).repeated):
        which = ", ".join(first_of([repr(caption) for caption in repeated], 3))
        print_note(f"{choice}: captions that stand there more than once are judged once: {which}")
    return choice
