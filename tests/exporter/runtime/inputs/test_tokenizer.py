from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import CLIPTokenizer

from exporter.errors import BundleError
from exporter.runtime.inputs.tokenizer import PromptTokenizer

FOLDER = Path(__file__).parents[4] / "exporter/zoo/shap_e_mini/tokenizer"


@pytest.fixture(scope="module")
def reference():
    tokenizer = CLIPTokenizer.from_pretrained(str(FOLDER))
    tokenizer.pad_token_id = 0
    return tokenizer


@pytest.fixture(scope="module")
def ours(reference):
    return PromptTokenizer(reference.backend_tokenizer.to_str().encode(), reference.model_max_length, 0)


# Python's tables do not know the letters of a later Unicode, which those of the library's may.
unicode_text = st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=60)
WORDS = ["a", "red", "chair", "Table!!", "mug's", "über", "椅子", "🪑", "1234", "<|endoftext|>", "!", "é", "e\u0301"]
words = st.lists(st.sampled_from(WORDS), max_size=30)


@settings(max_examples=300, deadline=None)
@given(prompt=unicode_text | words.map(" ".join))
@example("")
@example("!")
@example("a red chair")
@example("a\tred\nchair  ")
@example("İstanbul ﬁne ½")
@example("ΣΑΣ ΟΔΟΣ")
@example("a\x1cred\x1fchair\x85table")
@example("a <|STARTOFTEXT|>!! <|endoftext|>")
@example("you'LL don't 'stop it''s")
@example("aaaa" * 40)
def test_ids_are_those_of_transformers(reference, ours, prompt):
    expected = reference(prompt, padding="max_length", max_length=reference.model_max_length, truncation=True).input_ids
    assert ours.encode([prompt])[0].tolist() == expected


@settings(max_examples=150, deadline=None)
@given(prompt=unicode_text | words.map(" ".join))
@example("0000000000000HAA")
def test_what_is_cut_off_is_the_end_of_the_prompt(reference, ours, prompt):
    cut_off = ours.cut_off(prompt)
    offsets = reference(prompt, return_offsets_mapping=True).offset_mapping
    too_long = len(offsets) > reference.model_max_length
    assert prompt.rstrip().endswith(cut_off)
    assert bool(cut_off) <= too_long
    if cut_off:
        first_without_place, _ = offsets[reference.model_max_length - 1]
        assert cut_off == prompt[first_without_place:].strip()
        kept = prompt[: len(prompt.rstrip()) - len(cut_off)]
        # A word that is cut in its middle is read in another way without its end.
        assert not ours.cut_off(kept) or not kept[-1].isspace()


def test_a_batch_is_its_prompts(ours):
    prompts = ["a red chair", "", "ein grüner Tisch"]
    batch = ours.encode(prompts)
    assert batch.dtype == "int64" and batch.shape == (3, ours.context_length)
    assert all((batch[index] == ours.encode([prompt])[0]).all() for index, prompt in enumerate(prompts))
    assert ours.encode([]).shape == (0, ours.context_length)


def test_the_padding_is_id_zero(ours):
    assert ours.encode(["a"])[0, -1] == 0


def test_a_damaged_tokenizer_says_so():
    with pytest.raises(BundleError, match="tokenizer file cannot be read"):
        PromptTokenizer(b"{}", 16, 0)


@pytest.mark.parametrize(
    ("prompt", "nothing"),
    [
        ("a red chair", False),
        ("RED!", False),
        ("a dragon", True),
        ("椅子", True),
        ("a 1 !", True),
        ("a dragon, green", False),
    ],
)
def test_a_prompt_of_which_no_word_is_known(ours, prompt, nothing):
    assert ours.knows_no_word(prompt) is nothing


def test_the_words_of_a_small_model_are_few_and_whole(ours):
    assert {"red", "chair", "staircase", "purple", "small"} <= set(ours.words) and len(ours.words) < 80
    assert not {"ircase", "rple", "mall", "ll"} & set(ours.words)


def test_a_tokenizer_of_another_kind_is_read_by_the_library():
    library = Tokenizer(models.WordLevel({"?": 0, "red": 1, "ball": 2}, unk_token="?"))
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    reader = PromptTokenizer(library.to_str().encode(), 3, 0)
    assert reader.encode(["red ball", "a b c red"]).tolist() == [[1, 2, 0], [0, 0, 0]]
    assert reader.cut_off("red ball red ball") == "ball" and reader.words == []
    assert reader.knows_no_word("blue cube") and not reader.knows_no_word("blue ball")
