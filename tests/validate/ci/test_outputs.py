"""What other programs read: well-formed, whatever the findings say."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from validate.ci.outputs import junit_xml, markdown, workflow_commands
from validate.ci.regressions import Regression

FINDINGS = [
    Regression("int8/cpu", "size", "held", "same"),
    Regression("int8/cpu", "quality", "regressed", "92 -> 80 %, p < 0.05 & worse\nmuch"),
    Regression("int8/web", "baseline", "not run", "no | baseline"),
]


def test_junit_counts_failures_and_errors_by_pair():
    root = ElementTree.fromstring(junit_xml(FINDINGS))
    suites = {suite.get("name"): suite for suite in root}
    assert suites["int8/cpu"].attrib == {"name": "int8/cpu", "tests": "2", "failures": "1", "errors": "0"}
    assert suites["int8/web"].get("errors") == "1"
    failure = suites["int8/cpu"].find("testcase/failure")
    assert failure is not None and "80 %, p < 0.05 & worse" in failure.get("message", "")


@given(st.text(max_size=50))
def test_any_text_is_well_formed(text):
    finding = [Regression("a/b", "check", "regressed", text)]
    ElementTree.fromstring(junit_xml(finding))
    (line,) = workflow_commands(finding, {"a/b": Path("r.yaml")})
    assert "\n" not in line and "\r" not in line
    assert markdown(finding).splitlines()[-1].count(" | ") <= 2 + text.count("|")


def test_markdown_has_the_verdict_first_and_a_table_a_pair():
    text = markdown(FINDINGS)
    assert text.splitlines()[2] == "1 ✅ held, 1 ❌ regressed, 1 ⚠️ not run"
    assert "## int8/cpu" in text and "## int8/web" in text and r"no \| baseline" in text


def test_annotations_name_the_recipe_and_leave_out_what_held():
    files = {"int8/cpu": Path("recipes/a,b.yaml"), "int8/web": Path("recipes/c.yaml")}
    error, warning = workflow_commands(FINDINGS, files)
    assert error == "::error file=recipes/a%2Cb.yaml,title=int8/cpu%3A quality::92 -> 80 %25, p < 0.05 & worse%0Amuch"
    assert warning.startswith("::warning file=recipes/c.yaml,")
