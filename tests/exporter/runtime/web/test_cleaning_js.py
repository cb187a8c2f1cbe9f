"""Prompts are cleaned in JavaScript as in Python, by tables that were written where the bundle was built."""

from __future__ import annotations

import html
import json
import random
import unicodedata
from html.entities import html5
from pathlib import Path

import ftfy
import pytest

import exporter
from exporter.pipeline.inputs import TextInput
from exporter.runtime.inputs.cleaning import cleaned
from exporter.runtime.inputs.tokenizer import PromptTokenizer
from exporter.workshop.cleaning_tables import write_cleaning
from tests.node import run_node

SCRIPT = """
import { Cleaner } from "./cleaning.js";
const cleaner = new Cleaner(given.tables);
tell(given.prompts.map((prompt) => cleaner.clean(prompt)));
"""
ODD = [
    "", " ", "a red chair", "don’t", "“a quoted” chair’s leg", "a chair &amp; a table", "&lt;chair&gt;", "a ﬁne ﬂower",
    "full　width　ＣＨＡＩＲ", "schÃ¶n", "&amp;amp;amp; &notit; &#x80; &#1114112; &#xD800; &#0; &copy",
    "<b>&eacute;</b>",
    "&EACUTE; &nTILDE; &#39;", "âœ” No problems", "â€œlike thisâ€�", "ã\x83\x84", "voilÃ le travail", "l’humanitÃ©",
    "\x1b[36;44mblue\x1b[0m", "a\r\nb\rc\u2028d\x85e", "\ufeffchair\x00\x07", "ﾀｰﾝ", "Ã\xa0 cÃ´tÃ©", "ĂŠ", "РјР°РјР°",
    "\xed\xa0\xbd\xed\xb2\xa9", "í ½í²©", "Â£5", "â‚¬5", "a\x1ab", "×\xb2", "Nº\x81",
    "fianc\xe9e \x92s", "e\u0301 \u1161",
    "&#128169; &thinsp;x", "Ãƒ\xa0", "vedere Ã¨ credere", "a\x1cb\x1fc",
]  # fmt: skip
WORDS = [
    "a",
    "red",
    "Chair",
    "mug’s",
    "über",
    "椅子",
    "🪑",
    "“x”",
    "ﬁn",
    "ＣＨ",
    "&amp;",
    "&#233;",
    "<b>",
    "½",
    "\n",
    "Ça",
    "naïve",
]
ENCODINGS = ["latin-1", "sloppy-windows-1252", "sloppy-windows-1251", "macroman", "cp437", "iso-8859-2"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    source = TextInput(tensor="ids", file="t.json", length=8, pad_id=0, clean="openai")
    write_cleaning(folder, source)
    return json.loads((folder / source.cleaning_file).read_text())


def require_same(tables, prompts):
    found = run_node(SCRIPT, {"tables": tables, "prompts": prompts})
    wrong = [(p, ours, js) for p, js in zip(prompts, found, strict=True) if (ours := cleaned(p, "openai")) != js]
    assert wrong == []


def mojibake(drawn, words):
    """A text read in the wrong encoding, once or twice."""
    text = " ".join(drawn.choices(words, k=drawn.randint(1, 6)))
    for _ in range(drawn.choice((1, 1, 2))):
        text = text.encode().decode(drawn.choice(ENCODINGS), errors="replace")
    return text


def test_odd_prompts_are_cleaned_as_in_python(tables):
    require_same(tables, ODD)


def test_drawn_words_are_cleaned_as_in_python(tables):
    drawn = random.Random(0)
    require_same(tables, [" ".join(drawn.choices(WORDS, k=drawn.randint(1, 12))) for _ in range(1000)])


def test_mojibake_is_mended_as_in_python(tables):
    drawn = random.Random(1)
    prompts = [mojibake(drawn, WORDS) for _ in range(1500)]
    assert sum(ftfy.fix_encoding(prompt) != prompt for prompt in prompts) > 500
    require_same(tables, prompts)


def test_letters_of_any_kind_are_cleaned_as_in_python(tables):
    drawn = random.Random(2)
    known = [chr(c) for c in range(0x3000) if unicodedata.ucd_3_2_0.category(chr(c)) not in ("Cn", "Cs", "Co")]
    latin = [chr(c) for c in range(0x20, 0x180)]
    prompts = [
        "".join(drawn.choices(letters, k=drawn.randint(1, 12))) for letters in (known, latin) for _ in range(1500)
    ]
    require_same(tables, prompts)


def test_every_entity_is_resolved_as_in_python(tables):
    drawn = random.Random(3)
    whole = [f"a &{name}b" for name in html5]
    numbers = [f"&#{number}{drawn.choice(('', ';'))}" for number in (*range(0x180), *range(0xFDC0, 0xFE00), 0x10FFFF)]
    cut = [html.escape(f"&{name[: drawn.randint(1, len(name))]}x") for name in html5]
    require_same(tables, [*whole, *numbers, *cut])


TOKENS = """
import { PromptTokenizer } from "./tokenizer.js";
const tokenizer = new PromptTokenizer(JSON.parse(given.json), 16, 0, given.tables);
tell(given.prompts.map((prompt) => [...tokenizer.encode(prompt)].map(Number)));
"""


def test_what_was_cleaned_is_read_as_the_same_tokens(tables):
    given = (Path(exporter.__path__[0]) / "zoo/shap_e_mini/tokenizer/tokenizer.json").read_bytes()
    prompts = [prompt for prompt in ODD if is_text(prompt)]
    ours = PromptTokenizer(given, 16, 0, "openai").encode(prompts).tolist()
    assert run_node(TOKENS, {"json": given.decode(), "tables": tables, "prompts": prompts}) == ours
    assert ours != PromptTokenizer(given, 16, 0).encode(prompts).tolist()


def is_text(prompt):
    """Without halves of surrogate pairs, which Python's tokenizer refuses."""
    return not any("\ud800" <= letter <= "\udfff" for letter in prompt)
