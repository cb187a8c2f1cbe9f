"""All rules over one program."""

from __future__ import annotations

from pathlib import Path

from exporter.backends.tensorrt.lint import operator_rules, place_rules, scale_rules, type_rules
from exporter.backends.tensorrt.lint.rule import LintFinding, LintRule
from exporter.backends.tensorrt.lint.view import View
from exporter.errors import ValidationFailed

RULES: tuple[LintRule, ...] = (*scale_rules.RULES, *place_rules.RULES, *operator_rules.RULES, *type_rules.RULES)
SHOWN = 8


def lint(program: Path, compute_capability: str, name: str = "") -> list[LintFinding]:
    """What a program breaks, errors first. `compute_capability`: of the target's oldest GPU, such as '8.7'."""
    view = View(program, compute_capability)
    found = [LintFinding(rule, name or program.name, *what) for rule in RULES for what in rule.check(view)]
    return sorted(found, key=lambda finding: finding.rule.severity != "error")


def require_clean(program: Path, compute_capability: str, name: str = "") -> list[LintFinding]:
    """The warnings of a program. Raises ValidationFailed that tells each error and how to mend it."""
    findings = lint(program, compute_capability, name)
    errors = [str(finding) for finding in findings if finding.rule.severity == "error"]
    if errors:
        more = [f"and {len(errors) - SHOWN} more"] if len(errors) > SHOWN else []
        lines = "\n  ".join(errors[:SHOWN] + more)
        raise ValidationFailed(f"TensorRT would not take program '{name or program}':\n  {lines}")
    return [finding for finding in findings if finding.rule.severity == "warning"]
