"""The wheels, each one package that collides with no other: `exporter` and `validate` are common names.

t3export has our three floors. In the repository they are `exporter/` and `validate/`; installed they are
`t3export.exporter` and `t3export.validate`, and `t3export/recipes` has the recipes to start from.

t3export-runtime, for an app, has of `exporter/` what the runtime imports, as `t3export_runtime.exporter`. Both can be
installed in one environment. What is imported is the same source but for these names.
"""

from __future__ import annotations

import ast
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE, RUNTIME = "t3export", "t3export_runtime"
INSIDE = ("exporter", "validate")
RECIPES = "recipes"
LEFT_BEHIND = ("__pycache__", "node_modules", ".*", "*.pyc")
TYPED = "py.typed"
# Where the runtime begins: all of it but the client in JavaScript, and the measuring of bundles for reports.
RUNTIME_ROOM, NO_RUNTIME = "exporter/runtime", ("web", "measure.py")

_NAMES = "|".join(INSIDE)
_FROM = re.compile(rf"^(\s*from )({_NAMES})(?=[. ])", re.MULTILINE)
_IMPORT = re.compile(rf"^(\s*)import ({_NAMES})((?:\.\w+)*)(?: as \2)?(?=\s*(?:#|$))", re.MULTILINE)
_STARTED = re.compile(rf"(-m )({_NAMES})(?=\.)")
_MODULE = re.compile(rf"({_NAMES})(\.\w+)+")
_EXTRA = re.compile(rf"{PACKAGE}(?=\[)")
_PUBLIC = re.compile(rf"(from ){PACKAGE}(?= import)")


class InstalledTree(BuildHookInterface):
    """Gives hatchling the tree to pack. An editable install of t3export is the repository as it is."""

    _folder: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        package, write = TREES[self.metadata.name]
        if self.target_name != "wheel":
            raise ValueError(f"{self.metadata.name} is built as a wheel alone; its source is in the sdist of {PACKAGE}")
        if version == "editable" and package == PACKAGE:
            return
        self._folder = Path(tempfile.mkdtemp(prefix=f"{package}-wheel-"))
        write(Path(__file__).resolve().parent, self._folder / package)
        build_data["force_include"][str(self._folder / package)] = package

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if self._folder:
            shutil.rmtree(self._folder)


def write_tree(root: Path, package: Path) -> None:
    """Write the package t3export as it is installed, from the repository at `root`."""
    ignore = shutil.ignore_patterns(*LEFT_BEHIND)
    shutil.copytree(root / PACKAGE, package, ignore=ignore)
    for name in (*INSIDE, RECIPES):
        shutil.copytree(root / name, package / name, ignore=ignore)
    for path in sorted(package.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        path.write_text(renamed(source), encoding="utf-8")


def write_runtime(root: Path, package: Path) -> None:
    """Write the package t3export_runtime as it is installed, from the repository at `root`."""
    installed = {path: path.relative_to(root) for path in runtime_files(root)}
    installed[root / "distributions/runtime/api.py"] = Path("__init__.py")
    installed[root / PACKAGE / TYPED] = Path(TYPED)
    for path, place in installed.items():
        (package / place).parent.mkdir(parents=True, exist_ok=True)
        source = path.read_text(encoding="utf-8")
        told = _PUBLIC.sub(rf"\1{RUNTIME}", _EXTRA.sub(RUNTIME.replace("_", "-"), source))
        (package / place).write_text(renamed(told, RUNTIME), encoding="utf-8")


TREES: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "t3export": (PACKAGE, write_tree),
    "t3export-runtime": (RUNTIME, write_runtime),
}


def runtime_files(root: Path) -> list[Path]:
    """The modules of the runtime, and those that they import, sorted."""
    room = root / RUNTIME_ROOM
    waiting = [path for path in room.rglob("*.py") if path.relative_to(room).parts[0] not in NO_RUNTIME]
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _modules(root, path)
    return sorted(found)


def _modules(root: Path, path: Path) -> list[Path]:
    """Those of our modules that a module imports, and the packages around them."""
    modules = []
    for name in _imported_with_names(path.read_text(encoding="utf-8")):
        if name.partition(".")[0] in INSIDE:
            place = root.joinpath(*name.split("."))
            around = [folder / "__init__.py" for folder in (place, *place.parents) if root in folder.parents]
            modules += [file for file in (place.with_suffix(".py"), *around) if file.is_file()]
    return modules


def renamed(source: str, package: str = PACKAGE) -> str:
    """A module's source with our floors under their installed names in `package`: imports, and strings that name a
    module.

    Raises ValueError where an import of them is left.
    """
    source = _FROM.sub(rf"\1{package}.\2", source)
    source = _IMPORT.sub(lambda found: _installed_import(found, package), source)
    source = _STARTED.sub(rf"\1{package}.\2", source)
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _MODULE.fullmatch(node.value):
            line = lines[node.lineno - 1]
            lines[node.lineno - 1] = line.replace(f'"{node.value}"', f'"{package}.{node.value}"')
    made = "".join(lines)
    if left := [name for name in _imported(made) if name.partition(".")[0] in INSIDE]:
        raise ValueError(f"imported by a name that is not installed: {', '.join(left)}")
    return made


def _installed_import(found: re.Match[str], package: str) -> str:
    indent, name, inner = found.groups()
    module = f"import {package}.{name}{inner}; " if inner else ""
    return f"{indent}{module}from {package} import {name} as {name}"


def _imported(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom) and not node.level:
            found.append(node.module or "")
    return found


def _imported_with_names(source: str) -> list[str]:
    """What is imported, and what is imported of it, either of which may be a module."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom) and not node.level]
    return _imported(source) + [f"{node.module}.{alias.name}" for node in nodes for alias in node.names]
