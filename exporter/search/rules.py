"""A choice of precisions as the rules that a person reads: one for most layers of a stage, then the exceptions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from fnmatch import fnmatchcase

from exporter.recipe.policy import Operator, Policy, Rule
from exporter.search.candidates import FP32, parse_candidate, rule_for
from exporter.search.error_metric import decibels
from exporter.search.losses import Loss
from exporter.search.search import LayerChoice

LEAST_MILLISECONDS = 0.01


def write_policy(choice: LayerChoice, losses: Sequence[Loss]) -> Policy:
    """The rules that give every layer of `losses` what was chosen for it, each exception with the reason why."""
    groups: dict[tuple[str, Operator], list[Loss]] = {}
    for loss in losses:
        groups.setdefault((loss.stage, loss.operator), []).append(loss)
    rules = [rule for own in groups.values() for rule in _PolicyWriter(choice, own).rules()]
    return Policy(rules=rules)


def patterns(layers: Collection[str], among: Collection[str]) -> list[tuple[str, list[str]]]:
    """Few patterns that match exactly these layers among all, with what each matches that none before it does.

    The pattern that matches most comes first; of those that match alike the one that says most.
    """
    matched = {pattern: [name for name in among if fnmatchcase(name, pattern)] for pattern in _patterns_of(layers)}
    exact = {pattern: own for pattern, own in matched.items() if set(own) <= set(layers)}
    left, found = set(layers), []
    while left:
        best = min(
            exact, key=lambda pattern: (-len(left & set(exact[pattern])), "*" in pattern, -len(pattern), pattern)
        )
        found.append((best, [name for name in exact[best] if name in left]))
        left -= set(exact[best])
    return found


class _PolicyWriter:
    """The rules of the layers of one operator in one stage."""

    def __init__(self, choice: LayerChoice, losses: Sequence[Loss]) -> None:
        self.stage, self.operator, self.measured_in = losses[0].stage, losses[0].operator, losses[0].measured_in
        self.losses = {(loss.layer, loss.candidate): loss for loss in losses}
        self.chosen = dict.fromkeys((loss.layer for loss in losses), FP32)
        self.chosen |= {layer: loss.candidate for (layer, _), loss in choice.chosen.items() if layer in self.chosen}
        counts = Counter(self.chosen.values())
        self.usual = max(counts, key=lambda candidate: (counts[candidate], candidate))
        self.all_noise = choice.nsr.get(self.measured_in, 0.0)

    def rules(self) -> Iterator[Rule]:
        """The usual precision, if it is not fp32, then the exceptions."""
        if self.usual != FP32:
            yield self._rule(f"{self.stage}/*", self.usual)
        for candidate in sorted(set(self.chosen.values()) - {self.usual}):
            layers = [layer for layer, own in self.chosen.items() if own == candidate]
            for pattern, matched in patterns(layers, self.chosen):
                yield self._rule(pattern, candidate, self._why(candidate, matched))

    def _rule(self, pattern: str, candidate: str, why: str = "") -> Rule:
        precision = Rule(layers="*", precision="fp32") if candidate == FP32 else parse_candidate(candidate)
        rule = rule_for(pattern, self.operator, precision, why)
        assert rule is not None
        return rule

    def _why(self, candidate: str, layers: Sequence[str]) -> str:
        """What the usual precision would cost these layers where theirs is the better one, else what theirs costs."""
        own, usual = self._noise(layers, candidate), self._noise(layers, self.usual)
        told, other = (self.usual, candidate) if own <= usual else (candidate, self.usual)
        if math.isinf(self._noise(layers, told)):
            return f"{told} cannot be had here"
        rest = max(self.all_noise - own, 0.0)
        before, after = (decibels(rest + self._noise(layers, name)) for name in (other, told))
        told_cost = f"costs {before - after:.2g} dB" if math.isfinite(before) else f"leaves {after:.1f} dB"
        saved, lost = self._balance(layers, told, other)
        sentence = f"{told_cost} of the {self.measured_in}'s SNR in {told}"
        sentence += f", saves {' and '.join(saved)}" if saved else ""
        return sentence + (f", loses {' and '.join(lost)}" if lost else "")

    def _noise(self, layers: Sequence[str], candidate: str) -> float:
        """What layers add to the noise; infinite where one of them cannot have the precision."""
        if candidate == FP32:
            return 0.0
        known = [self.losses.get((layer, candidate)) for layer in layers]
        return sum(loss.total if loss else math.inf for loss in known)

    def _balance(self, layers: Sequence[str], told: str, other: str) -> tuple[list[str], list[str]]:
        """What one precision saves against another and what it loses, for people."""
        saved: list[str] = []
        lost: list[str] = []
        size, time = (a - b for a, b in zip(self._savings(layers, told), self._savings(layers, other), strict=True))
        if size:
            (saved if size > 0 else lost).append(_bytes(abs(size)))
        if abs(time) >= LEAST_MILLISECONDS:
            (saved if time > 0 else lost).append(f"{abs(time):.2g} ms an object")
        return saved, lost

    def _savings(self, layers: Sequence[str], candidate: str) -> tuple[int, float]:
        known = [self.losses[layer, candidate] for layer in layers] if candidate != FP32 else []
        return sum(loss.bytes_saved for loss in known), sum(loss.milliseconds_saved for loss in known)


def _bytes(size: float) -> str:
    return f"{size / 1e6:.3g} MB" if size >= 1e5 else f"{size / 1e3:.3g} kB"


def _patterns_of(layers: Collection[str]) -> set[str]:
    """Every name, and every name with a run of its dotted parts left open."""
    found = set(layers)
    for name in layers:
        stage, _, path = name.partition("/")
        parts = path.split(".")
        for start in range(len(parts)):
            for end in range(start + 1, len(parts) + 1):
                found.add(f"{stage}/{'.'.join([*parts[:start], '*', *parts[end:]])}")
    return found
