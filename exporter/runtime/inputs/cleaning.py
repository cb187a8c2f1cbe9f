"""Prompts cleaned as OpenAI's CLIP cleans them before its tokenizer reads them; `web/cleaning.js` is the same."""

from __future__ import annotations

import html
import re

from exporter.runtime.assets.optional import optional


def cleaned(prompt: str, how: str) -> str:
    """The prompt that a tokenizer gets. `how`: none, or openai: mojibake, ligatures, full-width letters, curly quotes
    and more mended by ftfy, HTML's entities resolved twice, and every run of white space one space.

    Raises EnvironmentProblem that names the extra where ftfy is not installed.
    """
    if how == "none":
        return prompt
    fixed: str = optional("ftfy").fix_text(prompt)
    return re.sub(r"\s+", " ", html.unescape(html.unescape(fixed))).strip()
