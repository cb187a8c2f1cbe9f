"""Which objects are made for the judge: of words, or of pictures whose captions are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exporter.files.atomic import sha256_of
from exporter.pipeline.inputs import PictureInput
from exporter.pipeline.pipeline import Pipeline
from tests.validate.toy import toy_pipeline
from validate.judge.judge_errors import PromptsError
from validate.judge.prompts import Prompt, load_prompts, shipped_pictures, shipped_prompts
from validate.judge.wanted import wanted_objects

RECIPES = Path(__file__).parents[3] / "recipes"
TEXTS = toy_pipeline()
PICTURE = PictureInput(tensor="embedding", size=8, resampling="bicubic", mean=(0, 0, 0), std=(1, 1, 1))
PICTURES: Pipeline = TEXTS.model_copy(update={"inputs": {"picture": PICTURE}})


@pytest.fixture
def captioned(tmp_path: Path) -> Path:
    """Two pictures, and a caption without one."""
    for name in ("mug", "chair"):
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    entries = [{"text": "a mug", "picture": "mug.png"}, "a house", {"text": "a chair", "picture": "chair.png"}]
    (tmp_path / "mine.json").write_text(json.dumps(entries))
    return tmp_path / "mine.json"


def test_no_shipped_picture_shows_what_a_model_has_learnt_from() -> None:
    pictures, words = shipped_pictures().pictured, shipped_prompts()
    captions = [prompt.text for prompt in pictures]
    assert len(set(captions)) == len(captions) == 160
    assert set(captions) == {prompt.text for prompt in words.held_out}
    given = {prompt.identity for prompt in pictures}
    assert len(given) == 160 and given.isdisjoint(map(sha256_of, (RECIPES / "pictures").glob("*.png")))


def test_shipped_pictures_are_told_apart_by_all_shipped_captions_their_own_first() -> None:
    wanted = wanted_objects(PICTURES, 40)
    assert [prompt.given for prompt in wanted.prompts] == [str(p.picture) for p in shipped_pictures().pictured[:40]]
    assert not wanted.under_specified and len(wanted.captions) == 1000
    assert [caption.text for caption in wanted.captions[:40]] == [prompt.text for prompt in wanted.prompts]
    with pytest.raises(PromptsError, match="161: 160 pictures"):
        wanted_objects(PICTURES, 161)


def test_a_file_names_pictures_from_where_it_lies(captioned: Path) -> None:
    wanted = wanted_objects(PICTURES, captioned)
    assert wanted.prompts == tuple(
        Prompt(f"a {name}", picture=captioned.parent / f"{name}.png") for name in ("mug", "chair")
    )
    assert [caption.text for caption in wanted.captions] == ["a mug", "a chair", "a house"]
    assert wanted.prompts[0].identity == sha256_of(captioned.parent / "mug.png")


def test_of_the_same_file_a_pipeline_of_words_takes_the_words(captioned: Path) -> None:
    wanted = wanted_objects(TEXTS, captioned)
    assert wanted.prompts == wanted.captions == (Prompt("a mug"), Prompt("a house"), Prompt("a chair"))


def test_captions_alone_do_not_do_for_pictures(tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_text("a mug\na chair\n")
    with pytest.raises(PromptsError, match="takes pictures, and no caption there has one"):
        wanted_objects(PICTURES, tmp_path / "captions.txt")
    assert wanted_objects(TEXTS, tmp_path / "captions.txt").prompts == (Prompt("a mug"), Prompt("a chair"))


@pytest.mark.parametrize("entry", [{"text": "a mug", "picture": 3}, {"text": "a mug", "picture": "none.png"}])
def test_a_picture_that_is_none_names_its_entry(entry: dict, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps([entry]))
    with pytest.raises(PromptsError, match=r"full\[0\]"):
        load_prompts(tmp_path / "mine.json")
