"""The house: three floors, no circle, no arrow back up; late imports and imports for types count."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = ("exporter", "validate", "t3export")
LOW = {"errors", "machine", "files"}
"""What every room of the exporter may stand on."""

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "machine": {"errors"},
    "files": {"errors"},
    "pipeline": {"errors"},
    "graphs": {"errors"},
    "passes": {"graphs", "pipeline"},
    "recipe": {"pipeline"},
    "targets": {"recipe", "pipeline"},
    "manifest": {"pipeline", "recipe"},
    "runtime": {"pipeline", "manifest"},
    "blender": {"pipeline", "manifest", "runtime"},
    "server": {"pipeline", "manifest", "runtime"},
    "release": {"manifest"},
    "sampling": {"pipeline", "recipe", "graphs", "runtime"},
    "families": {"pipeline", "recipe", "sampling", "runtime"},
    "trace": {"pipeline", "graphs"},
    "quantize": {"recipe", "graphs", "passes", "runtime"},
    "workshop": {"manifest", "targets", "families", "trace", "quantize", "sampling", "recipe", "runtime", "pipeline"}
    | {"graphs", "passes"},
    "backends": {"workshop", "manifest", "targets", "trace", "quantize", "sampling", "recipe", "runtime", "pipeline"}
    | {"graphs", "passes"},
    "search": {"workshop", "backends", "targets", "trace", "quantize", "recipe", "runtime", "pipeline", "graphs"},
    "build": {"search", "backends", "workshop", "manifest", "targets", "families", "recipe", "runtime", "pipeline"}
    | {"graphs"},
    "adopt": {"workshop", "manifest", "targets", "sampling", "recipe", "runtime", "pipeline", "graphs"},
    "zoo": set(),
}


def modules() -> dict[str, Path]:
    """Every module of the three floors by name; scripts, and what Blender runs, run by themselves, elsewhere."""
    found = {}
    for floor in FLOORS:
        for path in sorted((ROOT / floor).rglob("*.py")):
            if not {"scripts", "addon", "node_modules"}.intersection(path.parts):
                found[".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(
                full if (full := f"{node.module}.{alias.name}") in MODULES else node.module for alias in node.names
            )
    return {name for name in found if name.split(".")[0] in FLOORS}


IMPORTS = {name: imports(path) for name, path in MODULES.items()}


def room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def test_the_imports_are_read():
    assert "exporter.errors" in IMPORTS["exporter.files.atomic"]
    assert sum(map(len, IMPORTS.values())) > 1000


@pytest.mark.parametrize(("floor", "above"), [("exporter", ("validate", "t3export")), ("validate", ("t3export",))])
def test_no_floor_knows_one_above_it(floor, above):
    arrows = [(one, other) for one in IMPORTS for other in IMPORTS[one] if one.split(".")[0] == floor]
    assert [arrow for arrow in arrows if arrow[1].split(".")[0] in above] == []


def test_every_room_of_the_exporter_imports_what_it_may():
    strays = []
    for module, imported in IMPORTS.items():
        if not module.startswith("exporter."):
            continue
        own = module.split(".")[1]
        for other in sorted(imported - {"exporter"}):
            name = other.split(".")[1]
            if name != own and name not in MAY_IMPORT[own] | (LOW if own not in LOW else set()):
                strays.append(f"{module} -> {other}")
    assert strays == []


@pytest.mark.parametrize("floor", FLOORS[:2])
def test_no_rooms_of_a_floor_stand_in_a_circle(floor):
    arrows: dict[str, set[str]] = {}
    for one, imported in IMPORTS.items():
        for other in imported:
            if one.split(".")[0] == other.split(".")[0] == floor and room(one) != room(other) != floor:
                arrows.setdefault(room(one), set()).add(room(other))

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            fresh = arrows.get(waiting.pop(), set()) - seen
            seen |= fresh
            waiting += fresh
        return seen

    assert [name for name in arrows if name in reached(name)] == []


def test_only_nouns_lie_beside_the_rooms_of_the_exporter():
    assert {path.name for path in (ROOT / "exporter").glob("*.py")} == {"__init__.py", "manifest.py", "errors.py"}


@pytest.mark.parametrize("floor", FLOORS)
def test_no_file_name_stands_twice_on_a_floor(floor):
    names = Counter(path.name for name, path in MODULES.items() if name.split(".")[0] == floor)
    assert [name for name, count in names.items() if count > 1 and name != "__init__.py"] == []


def test_no_class_name_stands_twice():
    names = Counter(
        node.name
        for path in MODULES.values()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_the_runtime_imports_no_torch_but_where_executorch_is_linked_against_it():
    found = [
        name
        for name, path in MODULES.items()
        if name.startswith("exporter.runtime")
        and any(line.strip().startswith(("import torch", "from torch")) for line in path.read_text().splitlines())
    ]
    assert found == ["exporter.runtime.sessions.executorch"]
