"""The precisions that a search may give a layer, as short labels: int8, int4_weights:64:gptq, palette:4."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from exporter.errors import RecipeError, did_you_mean
from exporter.recipe.policy import RULE_PRECISIONS, Operator, Policy, Precision, Rule
from exporter.targets.target import Target

FP32 = "fp32"
PALETTE_BITS = (6, 4, 3, 2)


def parse_candidate(text: str) -> Rule:
    """A label as a rule for every layer.

    After the precision, in any order: a number (the block of weights, a palette's bits) and the rounding.
    Raises RecipeError for a label that is none.
    """
    precision, *parts = text.strip().split(":")
    known = [name for name in RULE_PRECISIONS if name != FP32]
    if precision not in known:
        raise RecipeError(f"candidate {text!r}: {did_you_mean(precision, known)}")
    number = "bits" if precision == "palette" else "block"
    fields = [(number, int(part)) if part.isdecimal() else ("rounding", part) for part in parts]
    if len(fields) != len(dict(fields)):
        raise RecipeError(f"candidate {text!r}: {fields[-1][0]} is given twice")
    try:
        return Rule.model_validate({"layers": "*", "precision": precision, **dict(fields)})
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise RecipeError(
            f"candidate {text!r}: {reason}; write it as int8, int4_weights:64:gptq or palette:4"
        ) from None


def label(rule: Rule) -> str:
    """The label of a rule's precision; `parse_candidate` reads it back."""
    parts = [rule.precision, rule.bits, rule.block, rule.rounding if rule.rounding != "nearest" else None]
    return ":".join(str(part) for part in parts if part is not None)


def default_candidates(precisions: Sequence[Precision]) -> list[Rule]:
    """What is worth trying of each of the precisions: four bits rounded by GPTQ, a palette in several sizes."""
    several = {"palette": [f"palette:{bits}" for bits in PALETTE_BITS], "int4_weights": ["int4_weights:gptq"], FP32: []}
    labels = [text for precision in precisions for text in several.get(precision, [precision])]
    return [parse_candidate(text) for text in labels]


def choose_candidates(target: Target, labels: Sequence[str]) -> list[Rule]:
    """The candidates of these labels, or all that the target has for none.

    Raises RecipeError for a label that is none, or of a precision that the target lacks.
    """
    rules = [parse_candidate(text) for text in labels] or default_candidates(target.precisions)
    lacking = sorted({rule.precision for rule in rules} - set(target.precisions))
    if lacking:
        raise RecipeError(
            f"--candidates: target '{target.name}' has no {', '.join(lacking)}; it has {', '.join(target.precisions)}"
        )
    return rules


def rule_for(layers: str, operator: Operator, candidate: Rule, why: str = "") -> Rule | None:
    """The candidate as a rule for these layers of an operator; None where that operator cannot have it."""
    try:
        return Rule.model_validate(candidate.model_dump() | {"layers": layers, "operator": operator, "why": why})
    except ValidationError:
        return None


def policy_of(layer: str, operator: Operator, candidate: Rule) -> Policy | None:
    """The policy that gives one layer the candidate and leaves all others alone; None where it cannot have it."""
    rule = rule_for(layer, operator, candidate)
    return Policy(rules=[rule]) if rule else None
