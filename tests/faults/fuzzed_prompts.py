"""Prompts of any characters, through tokenizer and runtime."""

from __future__ import annotations

import random
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from exporter.errors import EmptyMesh, T3Error
from exporter.families.part_files import ZOO
from exporter.runtime.bundle import Bundle
from exporter.runtime.inputs.tokenizer import PromptTokenizer
from tests.faults.fault import Attempt, Fault
from tests.toy_bundle import write_toy_bundle

CONTEXT, PAD = 16, 0
ALPHABETS = {
    "ascii": [chr(code) for code in range(1, 128)],
    "any plane": [chr(code) for code in (*range(0x80, 0xD800, 97), *range(0xE000, sys.maxunicode, 4099))],
    "surrogates": [chr(code) for code in range(0xD800, 0xE000, 31)],
    "marks": ["\u0301", "\u200d", "\u202e", "\ufe0f", "\U0001f469", "\U0001f3fd", "e", " "],
    "words": ["a ", "red ", "chair ", "<|endoftext|>", "<|startoftext|>", "[pad]", "\n", "\0"],
}
EVERY_HUNDREDTH = 100


def attempts(folder: Path, count: int, rng: random.Random) -> Iterator[Attempt]:
    """Through the shipped tokenizer each; every hundredth through a whole small bundle."""
    shipped = (ZOO / "shap_e_mini" / "tokenizer" / "tokenizer.json").read_bytes()
    tokenizer = PromptTokenizer(shipped, CONTEXT, PAD)
    bundle = Bundle.open(write_toy_bundle(folder / "bundle"))
    for number in range(count):
        name = rng.choice(list(ALPHABETS))
        length = rng.choice([0, 1, 5, 40, 4000])
        prompt = "".join(rng.choice(ALPHABETS[name]) for _ in range(length))
        lost = _lost(tokenizer, prompt)
        if number % EVERY_HUNDREDTH == 0:
            with warnings.catch_warnings(action="ignore"):  # of a prompt longer than the context
                lost = lost or _lost_by_runtime(bundle, prompt)
        yield Attempt(name, f"{lost}: {prompt[:60]!r}" if lost else "")


def _lost(tokenizer: PromptTokenizer, prompt: str) -> str:
    try:
        ids = tokenizer.encode([prompt])
        tokenizer.cut_off(prompt)
    except T3Error as error:
        return "" if str(error) else "refused without a word"
    except Exception as error:
        return f"a traceback, {type(error).__name__}: {error}"
    return "" if ids.shape == (1, CONTEXT) else f"tokens of shape {ids.shape}"


def _lost_by_runtime(bundle: Bundle, prompt: str) -> str:
    try:
        mesh = bundle.generate(prompt, grid=8)
    except EmptyMesh:
        return ""
    except T3Error as error:
        return "" if str(error) else "refused without a word"
    except Exception as error:
        return f"a traceback in the runtime, {type(error).__name__}: {error}"
    return "" if np.isfinite(mesh.vertices).all() else "a mesh that is not finite"


FAULT = Fault(
    "fuzzed-prompts",
    "takes a prompt of any characters through the tokenizer and, every hundredth, through a bundle; it is taken or "
    "refused with words",
    20_000,
    attempts,
    sample=500,
)
