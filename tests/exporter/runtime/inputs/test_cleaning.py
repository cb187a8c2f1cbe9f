"""Prompts as OpenAI's CLIP reads them: clip/simple_tokenizer.py's `basic_clean`, then `whitespace_clean`."""

from __future__ import annotations

import pytest

from exporter.errors import EnvironmentProblem
from exporter.families.registry import load_model
from exporter.runtime.assets import optional
from exporter.runtime.inputs.cleaning import cleaned
from exporter.runtime.inputs.tokenizer import PromptTokenizer
from tests.exporter.tiny import tiny_recipe

DIFFERS = {
    "don’t": "don't",
    "“a quoted” chair’s leg": '"a quoted" chair\'s leg',
    "a chair &amp; a table": "a chair & a table",
    "&lt;chair&gt;": "<chair>",
    "&amp;amp;amp;": "&",
    "a ﬁne ﬂower": "a fine flower",
    "full　width　ＣＨＡＩＲ": "full width CHAIR",
    "schÃ¶n": "schön",
    " a\t red\n chair ": "a red chair",
}


@pytest.mark.parametrize("prompt", DIFFERS)
def test_what_openai_mends_is_mended(prompt):
    assert cleaned(prompt, "openai") == DIFFERS[prompt]
    assert cleaned(prompt, "none") == prompt


def test_the_original_and_the_bundle_read_the_same(tiny):
    recipe = tiny_recipe()
    recipe = recipe.model_copy(update={"tokenizer": recipe.tokenizer.model_copy(update={"clean": "openai"})})
    source = tiny.pipeline(recipe).inputs["prompt"]
    tokenizer = PromptTokenizer(tiny.input_files()[source.file], source.length, source.pad_id, source.clean)
    prompts = ["a red “chair”", "a ｒｅｄ chair"]
    theirs = tiny.original(recipe).read([{"prompt": prompt} for prompt in prompts])["input_ids"]
    assert tokenizer.encode(prompts).tolist() == theirs.tolist()
    plain = load_model("shap-e", "shap-e-mini").original(tiny_recipe())
    assert plain.read([{"prompt": "a ｒｅｄ chair"}])["input_ids"].tolist() != (
        plain.read([{"prompt": "a red chair"}])["input_ids"].tolist()
    )


def test_what_is_cut_off_is_of_the_cleaned_prompt(tiny):
    source = tiny.pipeline(tiny_recipe()).inputs["prompt"]
    tokenizer = PromptTokenizer(tiny.input_files()[source.file], source.length, source.pad_id, "openai")
    assert tokenizer.cut_off("ｒｅｄ " * 30).startswith("red red")


def test_without_ftfy_its_extra_is_named(monkeypatch):
    monkeypatch.setattr(optional, "is_installed", lambda *packages: False)
    with pytest.raises(EnvironmentProblem, match=r"needs ftfy: `pip install 't3export\[clean\]'`"):
        cleaned("a chair", "openai")
