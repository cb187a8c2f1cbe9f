"""The wheel: our three floors as one package that collides with no other. `exporter` and `validate` are common names.

In the repository they are `exporter/` and `validate/`; installed they are `t3export.exporter` and `t3export.validate`,
and `t3export/recipes` has the recipes to start from. What is imported is the same source but for these names.
"""

from __future__ import annotations

import ast
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "t3export"
INSIDE = ("exporter", "validate")
RECIPES = "recipes"
LEFT_BEHIND = ("__pycache__", "node_modules", ".*", "*.pyc")

_NAMES = "|".join(INSIDE)
_FROM = re.compile(rf"^(\s*from )({_NAMES})(?=[. ])", re.MULTILINE)
_IMPORT = re.compile(rf"^(\s*)import ({_NAMES})((?:\.\w+)*)(?: as \2)?(?=\s*(?:#|$))", re.MULTILINE)
_STARTED = re.compile(rf"(-m )({_NAMES})(?=\.)")
_MODULE = re.compile(rf"({_NAMES})(\.\w+)+")


class InstalledTree(BuildHookInterface):
    """Gives hatchling the tree to pack. An editable install is the repository as it is."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        self._folder = Path(tempfile.mkdtemp(prefix="t3export-wheel-"))
        write_tree(Path(self.root), self._folder / PACKAGE)
        build_data["force_include"][str(self._folder / PACKAGE)] = PACKAGE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            shutil.rmtree(self._folder)


def write_tree(root: Path, package: Path) -> None:
    """Write the package as it is installed, from the repository at `root`."""
    ignore = shutil.ignore_patterns(*LEFT_BEHIND)
    shutil.copytree(root / PACKAGE, package, ignore=ignore)
    for name in (*INSIDE, RECIPES):
        shutil.copytree(root / name, package / name, ignore=ignore)
    for path in sorted(package.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        path.write_text(renamed(source), encoding="utf-8")


def renamed(source: str) -> str:
    """A module's source with our floors under their installed names: imports, and strings that name a module.

    Raises ValueError where an import of them is left.
    """
    source = _FROM.sub(rf"\1{PACKAGE}.\2", source)
    source = _IMPORT.sub(_installed_import, source)
    source = _STARTED.sub(rf"\1{PACKAGE}.\2", source)
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _MODULE.fullmatch(node.value):
            line = lines[node.lineno - 1]
            lines[node.lineno - 1] = line.replace(f'"{node.value}"', f'"{PACKAGE}.{node.value}"')
    made = "".join(lines)
    if left := [name for name in _imported(made) if name.partition(".")[0] in INSIDE]:
        raise ValueError(f"imported by a name that is not installed: {', '.join(left)}")
    return made


def _installed_import(found: re.Match[str]) -> str:
    indent, name, inner = found.groups()
    module = f"import {PACKAGE}.{name}{inner}; " if inner else ""
    return f"{indent}{module}from {PACKAGE} import {name} as {name}"


def _imported(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom) and not node.level:
            found.append(node.module or "")
    return found
