"""Token ids are Python's, but for letters that one side's Unicode tables know and the other's do not yet."""

from __future__ import annotations

import random
import unicodedata

import pytest

from exporter.families.registry import load_model
from exporter.runtime.inputs.tokenizer import PromptTokenizer
from tests.exporter.tiny import tiny_recipe
from tests.node import run_node

PROMPTS = [
    "", "!", "a red chair", "A  Red\tchair\n ", "a\u00a0red\u2028chair", "Table!!", "mug's", "they'VE don't", "über",
    "e\u0301", "é", "椅子", "🪑 x", "1234", "½ ² ﬁ", "İstanbul", "ΣΑΣ Σας", "<|endoftext|>",
    "a<|startoftext|>b", "x!!y ! z",
    "a red chair " * 20, "!" * 40,
]  # fmt: skip
WORDS = ["a", "red", "Chair", "!!", "mug's", "über", "椅子", "🪑", "12", "<|endoftext|>", "É", "Σ", "don't", ",", "½"]
SCRIPT = """
import { PromptTokenizer } from "./tokenizer.js";
const tokenizer = new PromptTokenizer(JSON.parse(given.json), given.context, given.pad);
tell(given.prompts.map((prompt) => [...tokenizer.encode(prompt)].map(Number)));
"""


@pytest.fixture(scope="module")
def tokenizer():
    """The shipped model's prompt as an input, and the bytes of its tokenizer file."""
    model = load_model("shap-e", "shap-e-mini")
    source = model.pipeline(tiny_recipe()).inputs["prompt"]
    return source, model.input_files()[source.file]


def in_javascript(tokenizer, prompts):
    source, json = tokenizer
    given = {"json": json.decode(), "context": source.length, "pad": source.pad_id}
    return run_node(SCRIPT, given | {"prompts": prompts})


def in_python(tokenizer, prompts):
    source, json = tokenizer
    return PromptTokenizer(json, source.length, source.pad_id).encode(prompts).tolist()


def test_ids_are_those_of_python(tokenizer):
    drawn = random.Random(0)
    prompts = PROMPTS + [" ".join(drawn.choices(WORDS, k=drawn.randint(1, 12))) for _ in range(500)]
    assert in_javascript(tokenizer, prompts) == in_python(tokenizer, prompts)


def test_ids_of_any_long_known_letters_are_those_of_python(tokenizer):
    drawn = random.Random(1)
    letters = [
        chr(code) for code in range(0x3000) if unicodedata.ucd_3_2_0.category(chr(code)) not in ("Cn", "Cs", "Co")
    ]
    prompts = ["".join(drawn.choices(letters, k=drawn.randint(1, 10))) for _ in range(2000)]
    assert in_javascript(tokenizer, prompts) == in_python(tokenizer, prompts)
