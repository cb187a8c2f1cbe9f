"""Which layer gets which precision: an ordered list of rules that a person can read and a search can write."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, get_args

import yaml
from pydantic import Field, model_validator

from exporter.errors import RecipeError
from exporter.recipe.document import read_yaml, validate
from exporter.recipe.precision import Precision
from exporter.recipe.section import Section

Rendering = Literal["fp32", "qdq", "fp16"]
Operator = Literal["linear", "attention", "norm", "activation", "table"]

PRECISIONS_LOWEST_FIRST: tuple[Precision, ...] = (
    "palette",
    "int4_weights",
    "int8_dynamic",
    "int8",
    "int8_weights",
    "bf16",
    "fp16",
    "fp32",
)
RULE_PRECISIONS = tuple(precision for precision in PRECISIONS_LOWEST_FIRST if precision != "bf16")
OPERATORS: tuple[Operator, ...] = get_args(Operator)
BLOCK = 32
_OF_WEIGHTS = ("palette", "int4_weights", "int8_weights", "int8_dynamic", "fp16")


class Rule(Section):
    """One line of a policy: the layers it matches, and their precision."""

    layers: str = Field(
        title="Layers",
        description="Pattern of layer names with * and ?, such as 'denoiser/*.attn1.to_q'; `t3export sensitivity` "
        "lists the names",
        min_length=1,
    )
    operator: Operator = Field(
        default="linear",
        title="Operator",
        description="linear: products with a weight; attention: attention with its softmax; norm; activation; "
        "table: large constants such as embeddings",
    )
    precision: Precision = Field(
        title="Precision",
        description="int8: weights and activations, calibrated; int8_dynamic: activations measured at run time; "
        "int8_weights, int4_weights: weights in blocks; palette: weights as indices into a table, fp16: weights in "
        "half precision, both only as stored; fp32: as it is",
    )
    block: Literal[16, 32, 64, 128, 256] | None = Field(
        default=None,
        title="Block",
        description=f"Weights that share a scale (int8_weights, int4_weights); {BLOCK} if not given",
        json_schema_extra={"unit": "weights"},
    )
    bits: int | None = Field(
        default=None,
        title="Bits",
        description="Bits of an index (palette)",
        ge=1,
        le=6,
        json_schema_extra={"unit": "bits"},
    )
    rounding: Literal["nearest", "gptq"] = Field(
        default="nearest",
        title="Rounding",
        description="nearest; gptq: each column's error is made good by the columns after it (arXiv 2210.17323)",
    )
    why: str = Field(default="", title="Why", description="The reason, for people")

    @model_validator(mode="after")
    def _fields_go_together(self) -> Rule:
        if self.precision not in RULE_PRECISIONS:
            raise ValueError(
                f"no rule gives {self.precision}: a target computes in it what is not quantized, where the recipe has "
                f"validation.tolerances.{self.precision}"
            )
        if (self.precision == "palette") != (self.bits is not None):
            raise ValueError("bits go with precision palette, and with no other")
        if self.block is not None and self.precision not in ("int8_weights", "int4_weights"):
            raise ValueError(f"block goes with int8_weights and int4_weights, not with {self.precision}")
        if self.operator == "table" and self.precision not in ("palette", "fp16", "fp32"):
            raise ValueError(f"a table can be stored as fp16 or palette; it has no {self.precision}")
        if self.operator in ("attention", "norm", "activation") and self.precision in _OF_WEIGHTS:
            raise ValueError(f"operator {self.operator} has no weight for {self.precision}; int8 or fp32 can be chosen")
        if self.rounding == "gptq" and (self.precision in ("fp16", "fp32") or self.operator != "linear"):
            raise ValueError(
                f"rounding gptq goes with integers and palettes of linear layers, not with {self.precision}"
            )
        return self

    def speaks_of(self, layer: str, operator: str) -> bool:
        """Whether this rule is about a layer."""
        return operator == self.operator and fnmatchcase(layer, self.layers)

    def may_speak_of(self, stage: str) -> bool:
        """Whether this rule can be about layers of a stage."""
        start = self.layers.partition("/")[0]
        # A * reaches beyond the stage's name, into the layer's.
        begin, star, _ = start.partition("*")
        return fnmatchcase(stage, begin + star)

    def is_about_all_of(self, stage: str) -> bool:
        """Whether the pattern names this stage, or every stage; one that begins with * may fit none of its layers."""
        return self.layers in ("*", "*/*") or ("*" not in self.layers.partition("/")[0] and self.may_speak_of(stage))

    @property
    def is_calibrated(self) -> bool:
        """Whether it needs recorded activations."""
        return self.precision == "int8" or self.rounding == "gptq"


class RuleError(RecipeError):
    """A rule that matches no layer."""

    rule: Rule


class Policy(Section):
    """Rules in order; the last one that matches a layer decides, and a layer that none matches stays fp32."""

    rules: list[Rule] = Field(default_factory=list, title="Rules", description="Rules in order, the last match wins")

    def choose(self, layer: str, operator: str) -> Rule | None:
        """The rule that decides over a layer; None leaves it as it is."""
        found = [rule for rule in self.rules if rule.speaks_of(layer, operator)]
        return found[-1] if found and found[-1].precision != "fp32" else None

    @property
    def precisions(self) -> set[Precision]:
        """Every precision that layers may have."""
        return {"fp32", *(rule.precision for rule in self.rules)}

    @property
    def calibrated(self) -> bool:
        """Whether any rule needs recorded activations."""
        return any(rule.is_calibrated for rule in self.rules)

    def require_calibrated(self, without: Iterable[str]) -> None:
        """Raises RuleError for a rule that wants recorded inputs of a stage that has none, one of `without`."""
        for stage in without:
            for operator in OPERATORS:
                speaking = [r for r in self.rules if r.operator == operator and r.may_speak_of(stage)]
                if speaking and speaking[-1].is_calibrated and speaking[-1].is_about_all_of(stage):
                    where = f"quantization.rules: rule {self.rules.index(speaking[-1]) + 1}"
                    error = RuleError(str(not_calibrated(where, stage)))
                    error.rule = speaking[-1]
                    raise error

    def require_matches(self, layers: Iterable[tuple[str, str]]) -> None:
        """Every rule must match one of the layers, given as (name, operator).

        Raises RuleError that names the rule and the nearest layers.
        """
        known = list(layers)
        for number, rule in enumerate(self.rules, start=1):
            if not any(rule.speaks_of(name, operator) for name, operator in known):
                raise no_match(number, rule, known)

    def to_yaml(self) -> str:
        """The policy as a file: one rule a line, its reason as a comment above it."""
        lines = ["rules:"]
        for rule in self.rules:
            if rule.why:
                lines.append(f"  # {rule.why}")
            said = rule.model_dump(exclude={"why"}, exclude_defaults=True)
            flow = yaml.safe_dump(said, default_flow_style=True, sort_keys=False, width=10**6).strip()
            lines.append(f"  - {flow}")
        return "\n".join(lines if self.rules else ["rules: []"]) + "\n"

    @classmethod
    def load(cls, path: Path) -> Policy:
        """A policy file. Raises RecipeError with file and line."""
        return validate(cls, read_yaml(path))


def not_calibrated(where: str, stage: str) -> RecipeError:
    """The error of layers in static INT8, or rounded by gptq, of a stage that has no recorded inputs."""
    return RecipeError(
        f"{where}: stage '{stage}' has no calibration: int8 and gptq go with stages that run once an object or an "
        "evaluation, at points or along rays only with those that take nothing else; choose int8_dynamic, int8_weights "
        "or fp16 for it"
    )


def no_match(number: int, rule: Rule, known: list[tuple[str, str]]) -> RuleError:
    """The error of a rule, the policy's nth, that matches none of the layers; it names the nearest ones."""
    names = sorted({name for name, operator in known if operator == rule.operator})
    told = f"quantization.rules: rule {number} ({rule.layers!r}, operator {rule.operator}) matches no layer"
    if not known:
        told += ": it matches no stage of this pipeline; write a stage, '/' and a layer, as in 'denoiser/*'"
    elif not names:
        stages = sorted({name.partition("/")[0] for name, _ in known})
        told += f": of that operator there is no layer in {', '.join(stages)}, the stages that the rules name"
    else:
        close = sorted(names, key=lambda name: _likeness(rule.layers, name), reverse=True)[:3]
        told += f"; the nearest of {len(names)}: {', '.join(close)}"
    error = RuleError(told)
    error.rule = rule
    return error


def _likeness(pattern: str, name: str) -> tuple[int, float]:
    """How much of what a pattern says is in a name, whatever its wildcards stand for; then how alike they are."""
    from difflib import SequenceMatcher

    plain = pattern.replace("*", "").replace("?", "")
    matcher = SequenceMatcher(None, plain, name)
    return sum(block.size for block in matcher.get_matching_blocks()), matcher.ratio()
