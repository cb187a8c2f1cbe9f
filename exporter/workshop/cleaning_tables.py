"""What the web client needs to clean prompts as `exporter.runtime.inputs.cleaning` does: ftfy's and Python's own tables
and patterns, as they are installed where a bundle is built."""

from __future__ import annotations

import html
import json
import re
from html.entities import html5
from pathlib import Path
from typing import Any

from exporter.files.atomic import write_atomically
from exporter.pipeline.inputs import TextInput
from exporter.runtime.assets.optional import optional

# What Python's \s and \w mean of text, which JavaScript's do not.
SPACES = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
_CLASSES = {"\\s": f"[{SPACES}]", "\\w": "[\\p{L}\\p{N}_]"}


def write_cleaning(folder: Path, source: TextInput) -> None:
    """Beside the tokenizer of an input whose prompts are cleaned."""
    if source.cleaning_file:
        content = json.dumps(cleaning_tables(), ensure_ascii=True, sort_keys=True, separators=(",", ":"))
        write_atomically(folder / source.cleaning_file, content.encode())


def cleaning_tables() -> dict[str, Any]:
    """The tables as JSON data. Raises EnvironmentProblem that names the extra where ftfy is not installed."""
    chardata, badness, fixes = optional("ftfy.chardata"), optional("ftfy.badness"), optional("ftfy.fixes")
    return {
        "version": optional("ftfy").__version__,
        "bad": in_javascript(badness.BADNESS_RE),
        "utf8": in_javascript(chardata.UTF8_DETECTOR_RE),
        "altered_utf8": _of_bytes(chardata.ALTERED_UTF8_RE),
        "lossy_utf8": _of_bytes(chardata.LOSSY_UTF8_RE),
        "a_grave_word": _of_bytes(fixes.A_GRAVE_WORD_RE),
        "encodings": [[name, _decoding(name)] for name in chardata.CHARMAP_ENCODINGS],
        "entities": chardata.HTML_ENTITIES,
        "html5": html5,
        "numbers": {str(number): text for number, text in html._invalid_charrefs.items()},  # type: ignore[attr-defined]
        "no_numbers": sorted(html._invalid_codepoints),  # type: ignore[attr-defined]
        "replaced": {chr(code): text for code, text in (chardata.LIGATURES | chardata.WIDTH_MAP).items()},
        "removed": "".join(map(chr, chardata.CONTROL_CHARS)),
        "spaces": SPACES,
    }


def in_javascript(pattern: re.Pattern[str]) -> str:
    """The source of a JavaScript expression, flag u, of one of Python's: white space and comments of a verbose one left
    out, classes that mean other characters there written out."""
    source, out, in_class, at = pattern.pattern, "", False, 0
    verbose = bool(pattern.flags & re.VERBOSE)
    while at < len(source):
        char = source[at]
        if char == "\\":
            pair = source[at : at + 2]
            out += _CLASSES.get(pair, pair) if not in_class else pair
            at += 2
            continue
        if char in "[]":
            in_class = char == "["
        if verbose and not in_class and char == "#":
            at = source.index("\n", at)
        elif not (verbose and not in_class and char.isspace()):
            out += char
        at += 1
    return out


def _of_bytes(pattern: re.Pattern[bytes]) -> str:
    """Of bytes: each as the character of its number."""
    return "".join(f"\\x{byte:02x}" if byte > 0x7E or byte < 0x20 else chr(byte) for byte in pattern.pattern)


def _decoding(encoding: str) -> str:
    """What each of the 256 bytes decodes to."""
    optional("ftfy.bad_codecs")  # which registers the sloppy ones
    return bytes(range(256)).decode(encoding)
