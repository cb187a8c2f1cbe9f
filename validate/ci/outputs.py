"""What continuous integration reads: JUnit XML, a Markdown summary, and annotations at the recipes' files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

from validate.ci.regressions import Regression, Status

MARKS: dict[Status, str] = {"held": "✅ held", "regressed": "❌ regressed", "not run": "⚠️ not run"}


def junit_xml(findings: Iterable[Regression]) -> bytes:
    """One test suite a pair, one test case a check; what could not be run is an error, not a failure.

    Format: the JUnit schema that Jenkins, GitLab and GitHub's reporters read.
    """
    root = ElementTree.Element("testsuites", name="t3export ci")
    for pair, checks in _by_pair(findings):
        counts = Counter(finding.status for finding in checks)
        numbers = {"tests": len(checks), "failures": counts["regressed"], "errors": counts["not run"]}
        suite = ElementTree.SubElement(root, "testsuite", {"name": pair} | {k: str(v) for k, v in numbers.items()})
        for finding in checks:
            case = ElementTree.SubElement(suite, "testcase", classname=pair, name=finding.check)
            if finding.status == "held":
                ElementTree.SubElement(case, "system-out").text = _printable(finding.text)
            else:
                kind = "failure" if finding.status == "regressed" else "error"
                ElementTree.SubElement(case, kind, message=_printable(finding.text), type=finding.status)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def markdown(findings: Iterable[Regression]) -> str:
    """A table a pair, the verdict first."""
    found = list(findings)
    counts = Counter(finding.status for finding in found)
    lines = ["# Parity", "", ", ".join(f"{counts[status]} {MARKS[status]}" for status in MARKS), ""]
    for pair, checks in _by_pair(found):
        lines += [f"## {pair}", "", "| check | verdict | found |", "| --- | --- | --- |"]
        lines += [f"| {one.check} | {MARKS[one.status]} | {_cell(one.text)} |" for one in checks]
        lines.append("")
    return "\n".join(lines)


def workflow_commands(findings: Iterable[Regression], files: Mapping[str, Path]) -> list[str]:
    """GitHub's workflow commands, one for each check that did not hold; `files`: the recipe of each pair."""
    kinds = {"regressed": "error", "not run": "warning"}
    return [
        f"::{kinds[one.status]} file={_property(str(files[one.pair]))},title={_property(f'{one.pair}: {one.check}')}"
        f"::{_data(one.text)}"
        for one in findings
        if one.status in kinds
    ]


def _by_pair(findings: Iterable[Regression]) -> list[tuple[str, Sequence[Regression]]]:
    return [(pair, list(checks)) for pair, checks in groupby(findings, key=lambda finding: finding.pair)]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _printable(text: str) -> str:
    """Without the control characters that XML cannot carry."""
    return "".join(char for char in text if char.isprintable() or char in "\n\t")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
