"""The caption grammar, which captions are held out of training, and the tokenizer learnt from it.

A caption that names both colour and shape says all: no form word means plain, no part colour means one colour.
Captions that leave out the colour or the shape (about half of those seen in training) leave everything else unsaid
open.
"""

import itertools
import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from training.objects import COLOR_NAMES, FORMS, SHAPE_NAMES, Attributes
from training.shapes import SHAPES

HELD_OUT = 160
FULL_PROMPTS = 840
CONTEXT_LENGTH = 16
VOCABULARY = 700
START, END = "<|startoftext|>", "<|endoftext|>"


def article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def full_caption(a: Attributes) -> str:
    words = [a.form] * (a.form != "plain") + [a.color, a.shape]
    text = f"{article(words[0])} {' '.join(words)}"
    return text + part_phrase(a.shape, a.part_color) if a.part_color else text


def part_phrase(shape: str, color: str) -> str:
    part = SHAPES[shape].part
    return f" with {color} {part}" if SHAPES[shape].plural else f" with {article(color)} {color} {part}"


def partial_caption(said: dict[str, str]) -> str:
    """The caption of some attributes, of which colour or shape (or both) is missing."""
    noun = said.get("shape")
    words = [said[key] for key in ("form", "color") if key in said]
    if noun is None and "color" in said and "form" not in said:
        return f"something {said['color']}"
    words.append(noun or "object")
    text = f"{article(words[0])} {' '.join(words)}"
    return text + part_phrase(noun, said["part_color"]) if noun and "part_color" in said else text


def all_attributes() -> list[Attributes]:
    """Everything that a full caption can say, in a fixed order."""
    one_tone = [Attributes(s, c, f) for s, c, f in itertools.product(SHAPE_NAMES, COLOR_NAMES, FORMS)]
    two_tone = [
        Attributes(s, c, "plain", p)
        for s, c, p in itertools.product(SHAPE_NAMES, COLOR_NAMES, COLOR_NAMES)
        if SHAPES[s].part and c != p
    ]
    return one_tone + two_tone


def split(seed: int = 0) -> tuple[list[Attributes], list[Attributes]]:
    """(trained, held out): the held-out combinations are never seen by any model, in any role."""
    everything = all_attributes()
    order = np.random.default_rng(seed).permutation(len(everything))
    held = set(order[:HELD_OUT].tolist())
    return [a for i, a in enumerate(everything) if i not in held], [everything[i] for i in sorted(held)]


def by_shape(attributes: list[Attributes]) -> dict[str, tuple[list[Attributes], list[Attributes]]]:
    """shape -> (of one colour, two-toned)."""
    return {
        s: (
            [a for a in attributes if a.shape == s and not a.part_color],
            [a for a in attributes if a.shape == s and a.part_color],
        )
        for s in SHAPE_NAMES
    }


def draw_attributes(
    rng: np.random.Generator, groups: dict[str, tuple[list[Attributes], list[Attributes]]]
) -> Attributes:
    """Shapes equally often; of those that can be two-toned, half are."""
    one_tone, two_tone = groups[SHAPE_NAMES[rng.integers(len(SHAPE_NAMES))]]
    group = two_tone if two_tone and rng.random() < 0.5 else one_tone
    return group[rng.integers(len(group))]


def draw_caption(rng: np.random.Generator, a: Attributes, under_specified: float = 0.5) -> tuple[str, dict[str, str]]:
    """A caption that is true of the object, and the attributes it states."""
    if rng.random() >= under_specified:
        return full_caption(a), stated_in_full(a)
    said: dict[str, str] = {}
    keep_shape = rng.random() < 0.6
    said |= {"shape": a.shape} if keep_shape else {}
    said |= {"color": a.color} if not keep_shape and rng.random() < 0.75 else {}
    said |= {"form": a.form} if a.form != "plain" and rng.random() < 0.5 else {}
    said |= {"part_color": a.part_color} if keep_shape and a.part_color and rng.random() < 0.5 else {}
    if not said:
        said = {"color": a.color}
    return partial_caption(said), said


def stated_in_full(a: Attributes) -> dict[str, str]:
    return {"shape": a.shape, "color": a.color, "form": a.form, "part_color": a.part_color or "none"}


def is_true(said: dict[str, str], a: Attributes) -> bool:
    whole = stated_in_full(a)
    return all(whole[key] == value for key, value in said.items())


def under_specified_prompts() -> list[dict]:
    """Every one-word-open caption of the grammar that the evaluation uses."""
    said = [{"shape": s} for s in SHAPE_NAMES] + [{"color": c} for c in COLOR_NAMES]
    said += [{"shape": s, "form": f} for s in SHAPE_NAMES for f in FORMS[1:]]
    said += [{"color": c, "form": f} for c in COLOR_NAMES for f in FORMS[1:]]
    said += [{"form": f} for f in FORMS[1:]]
    return [{"text": partial_caption(s), "attributes": s} for s in said]


def write_prompts(path: Path, seed: int = 0) -> None:
    """prompts.json: the captions that the evaluation draws from, by kind."""
    trained, held = split(seed)
    rng = np.random.default_rng(seed + 1)

    def entries(attributes: list[Attributes]) -> list[dict]:
        return [{"text": full_caption(a), "attributes": stated_in_full(a)} for a in attributes]

    groups = by_shape(trained)
    full: dict[Attributes, None] = {}
    while len(full) < FULL_PROMPTS:
        full[draw_attributes(rng, groups)] = None
    under = under_specified_prompts()
    prompts = {
        "full": entries(list(full)),
        "under_specified": [under[i] for i in rng.permutation(len(under))],
        "held_out": entries([held[i] for i in rng.permutation(len(held))]),
    }
    path.write_text(json.dumps(prompts, indent=1) + "\n")


def make_tokenizer(seed: int = 0) -> CLIPTokenizer:
    """A CLIP tokenizer whose merges come from the grammar's own captions; every byte has a token, so any text can be
    encoded.
    """
    corpus = [full_caption(a) for a in split(seed)[0]] + [p["text"] for p in under_specified_prompts()]
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(False)])
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    # The trainer numbers what it is not given in no fixed order, and by those numbers it settles ties between merges.
    last_letters = [letter + "</w>" for letter in letters]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=letters, special_tokens=last_letters, end_of_word_suffix="</w>",
        show_progress=False,
    )  # fmt: skip
    learner.train_from_iterator(corpus, trainer)
    merges = [tuple(merge) for merge in json.loads(learner.to_str())["model"]["merges"]]
    tokens = letters + last_letters + ["".join(merge) for merge in merges] + [START, END]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(
        vocab=vocabulary, merges=merges, unk_token=END, bos_token=START, eos_token=END, pad_token=letters[0],
        model_max_length=CONTEXT_LENGTH,
    )  # fmt: skip
