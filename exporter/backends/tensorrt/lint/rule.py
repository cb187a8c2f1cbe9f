"""What a rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from exporter.backends.tensorrt.lint.view import View

Severity = Literal["error", "warning"]
Found = Iterator[tuple[str, str]]


@dataclass(frozen=True)
class LintRule:
    """`check(view)` gives (where, what was found there). An error fails a build, a warning is told."""

    name: str
    severity: Severity
    source: str
    mend: str
    check: Callable[[View], Found]


@dataclass(frozen=True)
class LintFinding:
    """One place where a program breaks a rule."""

    rule: LintRule
    program: str
    where: str
    found: str

    def __str__(self) -> str:
        rule = self.rule
        return f"{self.program}: {self.where}: {self.found} [{rule.name}; {rule.source}]. To mend: {rule.mend}"


def rule(
    name: str, source: str, mend: str, severity: Severity = "error"
) -> Callable[[Callable[[View], Found]], LintRule]:
    """Makes a rule of a function."""
    return lambda check: LintRule(name, severity, source, mend, check)
