"""What a model is stands in its family alone: nothing else names one of Shap-E's stages or tensors."""

from __future__ import annotations

import ast
import re

from tests.test_rooms import FLOORS, MODULES, ROOT

FAMILIES = ROOT / "exporter" / "families"
OWN = FAMILIES / "shap_e"
# A module here runs one family beside the code of its authors.
ORIGINALS = ROOT / "validate" / "originals"
NAMES = {"text_encoder", "denoiser", "projector", "renderer", "input_ids", "embedding", "signed_distance"}
# The attribute that holds a sampler's network, whatever the stage is called.
ATTRIBUTE = ("exporter.sampling.step", "denoiser")


def test_no_module_names_them():
    # Another family may call its own the same.
    free = [ORIGINALS, *(path.parent for path in FAMILIES.glob("*/__init__.py"))]
    named = [
        (name, node.value)
        for name, path in MODULES.items()
        if not any(path.is_relative_to(folder) for folder in free)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in NAMES
    ]
    assert named == [ATTRIBUTE]
    assert any(
        OWN in path.parents and '"text_encoder"' in path.read_text(encoding="utf-8") for path in MODULES.values()
    )


def test_no_script_names_them():
    words = re.compile(rf"\b({'|'.join(NAMES)})\b")
    files = [
        path
        for floor in FLOORS
        for suffix in ("js", "sh", "md")
        for path in (ROOT / floor).rglob(f"*.{suffix}")
        if not {"node_modules", "packages", "zoo"}.intersection(path.parts)
    ]
    assert len(files) > 10
    assert [path for path in files if words.search(path.read_text(encoding="utf-8"))] == []
