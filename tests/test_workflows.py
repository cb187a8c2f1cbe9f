"""The shipped workflows: valid by their vendors' schemas, and their own step run here on the toy bundle."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
WORKFLOW = ROOT / ".github/workflows/parity.yml"
ACTION = ROOT / ".github/actions/parity/action.yml"
DOCS = ROOT / ".github/workflows/docs.yml"
GITLAB = ROOT / ".gitlab-ci.template.yml"
# A stand-in for the installed command: it records how it was called.
RECORDER = """#!/usr/bin/env python3
import json, pathlib, sys
pathlib.Path("called.json").write_text(json.dumps(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("file", "schema"),
    [
        (WORKFLOW, "vendor.github-workflows"),
        (DOCS, "vendor.github-workflows"),
        (ACTION, "vendor.github-actions"),
        (GITLAB, "vendor.gitlab-ci"),
    ],
)
def test_it_is_valid(file: Path, schema: str):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflow_takes_inputs_that_the_action_has_and_recipes_that_are_there():
    steps = yaml.safe_load(WORKFLOW.read_text())["jobs"]["parity"]["steps"]
    (own,) = [step for step in steps if step.get("uses") == "./.github/actions/parity"]
    assert own["with"].keys() <= yaml.safe_load(ACTION.read_text())["inputs"].keys()
    assert all((ROOT / recipe).is_file() for recipe in own["with"]["recipes"].split())


def test_the_sites_workflow_publishes_what_it_builds_strictly():
    jobs = yaml.safe_load(DOCS.read_text())["jobs"]
    steps = jobs["build"]["steps"]
    (built,) = [step["run"] for step in steps if "mkdocs" in step.get("run", "")]
    (uploaded,) = [step["with"]["path"] for step in steps if "upload-pages" in step.get("uses", "")]
    settings = (ROOT / "mkdocs.yml").read_text()
    assert "--strict" in built and f"site_dir: {uploaded}\n" in settings
    assert jobs["publish"]["needs"] == "build" and "main" in jobs["publish"]["if"]
    assert 'pip install --editable ".[docs]"' in [step.get("run") for step in steps]


def run_step(script: str, variables: dict[str, str], folder: Path) -> list[str]:
    """Run a step's script with a recorder for t3export; the words it was called with."""
    recorder = folder / "bin" / "t3export"
    recorder.parent.mkdir()
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    (folder / "recipes").mkdir()
    for name in ("a.yaml", "b.yaml"):
        (folder / "recipes" / name).touch()
    path = f"{recorder.parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["bash", "-e", "-c", script], cwd=folder, env=os.environ | variables | {"PATH": path}, check=True)
    called: list[str] = yaml.safe_load((folder / "called.json").read_text())
    return called


def parsed(words: list[str]) -> dict[str, object]:
    """What the real command line makes of these words."""
    from t3export.commands.ci import command

    assert words[0] == "ci"
    return command.make_context("ci", words[1:]).params


def test_the_actions_step_calls_a_command_that_there_is(tmp_path):
    action = yaml.safe_load(ACTION.read_text())
    (step,) = [step for step in action["runs"]["steps"] if "run" in step]
    defaults = {name.upper(): value["default"] for name, value in action["inputs"].items()}
    assert step["env"].keys() == defaults.keys()
    given = defaults | {"OPTIONS": "--prompts 8 --reuse", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    found = parsed(run_step(step["run"], given, tmp_path))
    assert found["recipes"] == (Path("recipes/a.yaml"), Path("recipes/b.yaml"))
    assert (found["prompts"], found["reuse"], found["junit"]) == ("8", True, Path("parity.xml"))


def test_gitlabs_script_calls_a_command_that_there_is(tmp_path):
    job = yaml.safe_load(GITLAB.read_text())[".t3export-parity"]
    found = parsed(run_step("\n".join(job["script"]), job["variables"], tmp_path))
    assert found["targets"] == "cpu" and found["baseline"] == Path("artifacts/baseline.json")
    assert job["artifacts"]["reports"]["junit"] == str(found["junit"])
