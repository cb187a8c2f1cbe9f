"""Prompt files: the shipped form, lists, plain text, and everything a person may get wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validate.judge.judge_errors import PromptsError
from validate.judge.prompts import Prompt, clean_caption, load_prompts


def test_the_shipped_form_keeps_sections_and_attributes(tmp_path: Path) -> None:
    path = tmp_path / "prompts.json"
    full = [{"text": "a red ball", "attributes": {"shape": "ball", "color": "red"}}]
    path.write_text(
        json.dumps(
            {
                "full": full,
                "under_specified": [{"text": "a ball", "attributes": {"shape": "ball"}}],
                "held_out": [{"text": "a blue box"}, {"text": "a red ball"}],
            }
        )
    )
    prompts = load_prompts(path)
    assert prompts.under_specified[0].satisfied_by(prompts.full[0])
    assert not prompts.full[0].satisfied_by(prompts.under_specified[0])
    assert [prompt.text for prompt in prompts.captions] == ["a red ball", "a blue box"]


def test_text_files_skip_blank_lines_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("\ufeffein grüner Würfel\n\n# note\r\n#\n## more\n#1 chair\n  a 红色 ball \n", encoding="utf-8")
    assert [prompt.text for prompt in load_prompts(path).full] == ["ein grüner Würfel", "#1 chair", "a 红色 ball"]


def test_repeats_are_kept_in_the_lists_named_and_judged_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"full": ["a", "b", "a"], "under_specified": ["c", "c"], "held_out": ["b"]}))
    prompts = load_prompts(path)
    assert [prompt.text for prompt in prompts.full] == ["a", "b", "a"]
    assert prompts.repeated == ("a", "c")
    assert [prompt.text for prompt in prompts.captions] == ["a", "b"]
    assert [prompt.text for prompt in prompts.open_captions] == ["c"]


def test_captions_are_cleaned_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(["A Large, red bus ."]))
    assert load_prompts(path).full == (Prompt("A Large, red bus ."),)
    assert load_prompts(path, clean=True).full == (Prompt("a large red bus."),)


@given(st.text())
def test_cleaning_is_idempotent_and_ends_with_one_stop(caption: str) -> None:
    cleaned = clean_caption(caption)
    assert cleaned.endswith(".") and "," not in cleaned


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON"),
        ("[]", "no caption found"),
        ('["a", 3]', r"full\[1\] is 3"),
        ('[""]', r"full\[0\]"),
        ('{"full": [], "extra": []}', "under_specified"),
        ('{"full": "a ball"}', "object of lists"),
        ('[{"text": "a", "attributes": {"color": 1}}]', r"full\[0\]"),
        ('[{"txt": "a"}]', r"full\[0\]"),
    ],
)
def test_malformed_json_names_the_entry(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(PromptsError, match=message):
        load_prompts(path)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(PromptsError, match=r"absent\.txt: no such file, and no whole number"):
        load_prompts(tmp_path / "absent.txt")
    (tmp_path / "latin.txt").write_bytes(b"gr\xfcn")
    with pytest.raises(PromptsError, match="UTF-8"):
        load_prompts(tmp_path / "latin.txt")
