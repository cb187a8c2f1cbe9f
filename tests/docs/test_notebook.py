"""The notebook runs from its first cell to its last."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.pages import ROOT

NOTEBOOK = ROOT / "docs/notebook.ipynb"


def test_it_is_a_notebook_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and all(not cell.outputs and cell.execution_count is None for cell in code)


@pytest.mark.slow
def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    try:
        NotebookClient(notebook, timeout=3600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    finally:
        print(printed(notebook))  # what a failed cell said
    (work,) = tmp_path.glob("t3export-*")
    assert {path.name for path in work.glob("*.glb")} == {"chair.glb", "chair_int8.glb"}
    assert all(words in printed(notebook) for words in ("INT8, our recipe", "passed", "as signed"))


def printed(notebook: nbformat.NotebookNode) -> str:
    """What all cells printed in words, tables and colours too, which a notebook shows in a form of its own."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    texts = [output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs]
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(texts)).split())
