"""A hook of MkDocs: the pages that the program itself knows, source in pages, and links to files that are not in docs/.

In a fenced block the line `@source FILE NAME …` stands for these classes, functions and constants of a Python file.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
# MkDocs' own script does not look into the folder that it is started in.
sys.path.insert(0, str(ROOT))

from exporter.manifest import manifest_schema
from exporter.recipe.recipe import Recipe
from exporter.targets.target import Target, list_targets
from t3export.cli import GROUPS, cli
from t3export.section_fields import about, fields_of

CLIENT = ROOT / "exporter/runtime/web"
WIDTH = 100


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {
        "commands": commands_page(),
        "recipe": fields_page("Recipe", RECIPE_INTRODUCTION, Recipe),
        "target": fields_page("Target", TARGET_INTRODUCTION, Target) + targets_list(),
        "manifest": manifest_page(),
        "javascript": javascript_page(),
    }
    for name, text in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    files.append(File.generated(config, "notebook.md", content=notebook_page()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put source in, and let links to files outside docs/ lead to the repository; where none is named their text
    stands alone."""
    folder = dirname(page.file.src_uri)

    def outside(match: re.Match[str]) -> str:
        text, link = match.group(1), match.group(2)
        inside = normpath(join("docs", folder, link))
        if inside.startswith("docs/"):
            return match.group()
        if not (ROOT / inside).exists():
            raise PluginError(f"{page.file.src_uri}: the link {link} leads to {inside}, which there is not")
        return f"[{text}]({config.repo_url.rstrip('/')}/blob/main/{inside})" if config.repo_url else text

    markdown = re.sub(r"\[([^\]]*)\]\((\.\.?/[^)#\s]*)\)", outside, markdown)
    return re.sub(
        r"^@source (\S+) (.+)$", lambda found: source(found.group(1), found.group(2).split()), markdown, flags=re.M
    )


def source(file: str, names: list[str]) -> str:
    """The top-level statements of a Python file that define these names. Raises PluginError for one that it has not."""
    text = (ROOT / file).read_text(encoding="utf-8")
    parts = {}
    for node in ast.parse(text).body:
        first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
        part = "\n".join(text.splitlines()[first - 1 : node.end_lineno])
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            parts[node.name] = f"{part}\n"
        elif isinstance(node, ast.Assign):
            parts |= {name.id: part for name in ast.walk(node.targets[0]) if isinstance(name, ast.Name)}
    if lacking := set(names) - parts.keys():
        raise PluginError(f"{file} does not define {', '.join(sorted(lacking))}")
    return "\n".join(parts[name] for name in names).rstrip()


def notebook_page() -> str:
    """The cells of notebook.ipynb; it is executed by a test, and what came out of it is not kept."""
    cells = json.loads((ROOT / "docs/notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    parts = []
    for cell in cells:
        text = "".join(cell["source"])
        parts.append(f"```python\n{text}\n```" if cell["cell_type"] == "code" else text)
    return "\n\n".join(parts) + "\n"


RECIPE_INTRODUCTION = """\
A recipe is a YAML file: which model, how to sample it, how to quantize it and how good is good enough. These are all
its fields, as `t3export recipe explain` prints them; [a guide](../guides/recipe.md) writes one.
"""
TARGET_INTRODUCTION = """\
A target is a YAML file too: which runtime runs the programs, on what, at which precisions, and what it needs. These are
all its fields, as `t3export targets explain` prints them; [a guide](../guides/target.md) writes one.
"""


def commands_page() -> str:
    """Every verb with its help, in the groups of the root help."""
    lines = ["# Commands", "", "What `t3export VERB --help` prints.", ""]
    root = click.Context(cli, info_name="t3export", max_content_width=WIDTH, terminal_width=WIDTH)
    for group, verbs in GROUPS.items():
        lines += [f"## {group}", ""]
        for name, short in verbs.items():
            command = cli.get_command(root, name)
            assert command is not None
            lines += [f"### {name}", "", short, ""]
            for title, help_text in helps(command, name, root):
                lines += [*([f"#### {title}", ""] if title != name else []), "```text", help_text, "```", ""]
    return "\n".join(lines)


def helps(command: click.Command, name: str, parent: click.Context) -> Iterator[tuple[str, str]]:
    """The help of a verb and of its own commands, each with its words."""
    context = click.Context(command, info_name=name, parent=parent)
    yield context.command_path.removeprefix("t3export "), command.get_help(context)
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from helps(found, below, context)


def fields_page(title: str, introduction: str, section: type[Recipe] | type[Target]) -> str:
    """The fields of a file of settings, a table for each of its sections."""
    fields = fields_of(section)
    tops = {name.split(".")[0]: [] for name in fields}
    for name in fields:
        tops[name.split(".")[0]].append(name)
    plain = [name for name, below in tops.items() if len(below) == 1]
    lines = [f"# {title}", "", introduction, "## At the top", "", *table((name, about(fields[name])) for name in plain)]
    for name, below in tops.items():
        if name not in plain:
            lines += [f"## {name}", "", about(fields[name]), ""]
            lines += table((field, about(fields[field])) for field in below[1:])
    return "\n".join(lines)


def targets_list() -> str:
    """What ships."""
    rows = [(target.name, f"{target.description} ({target.status}).") for target in list_targets()]
    return "\n".join(["", "## Targets that ship", "", *table(rows, "target")])


def manifest_page() -> str:
    """The manifest's parts and fields, from its published schema."""
    schema = manifest_schema()
    lines = [
        "# Manifest",
        "",
        "`manifest.json` is the first file of a bundle: everything else hangs on it. Its JSON schema is",
        "[manifest.schema.json](../manifest.schema.json), as `t3export inspect --schema` prints it.",
        "",
        *schema_table(schema),
    ]
    for name, part in sorted(schema["$defs"].items()):
        if "properties" in part:
            lines += [f"## {name}", "", *([" ".join(part["description"].split()), ""] if "description" in part else [])]
            lines += schema_table(part)
    return "\n".join(lines)


def schema_table(schema: dict[str, Any]) -> list[str]:
    """The properties of an object as a table."""
    rows = ((name, kind_of(field), field.get("description", "")) for name, field in schema["properties"].items())
    head = ["| field | what it is | |", "| --- | --- | --- |"]
    return [*head, *(f"| `{name}` | {kind} | {cell(text)} |" for name, kind, text in rows), ""]


def kind_of(field: dict[str, Any]) -> str:
    """The type of a property in a few words; parts of the manifest are links."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if several := field.get("anyOf") or field.get("oneOf"):
        return " or ".join(kind_of(one) for one in several)
    if "const" in field or "enum" in field:
        return cell(", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")])))
    if field.get("type") == "array":
        return f"list of {kind_of(field['items'])}" if "items" in field else "list"
    if isinstance(below := field.get("additionalProperties"), dict):
        return f"by name: {kind_of(below)}"
    return str(field.get("type", "anything"))


def javascript_page() -> str:
    """What index.js exports, with the comments that stand above it in the client's own files."""
    index = (CLIENT / "index.js").read_text(encoding="utf-8")
    lines = ["# JavaScript", "", "The client in the folder `client/` of a bundle for `web`.", "", *comment(index, 0)]
    for names, file in re.findall(r'export \{ ([^}]+) \} from "\./(\w+\.js)"', index):
        source = (CLIENT / file).read_text(encoding="utf-8")
        for name in names.split(", "):
            lines += ["", f"## {name}", "", *exported(name, source, file)]
    return "\n".join(lines) + "\n"


def exported(name: str, source: str, file: str) -> Iterator[str]:
    """A function with its comment, or a class with its commented methods."""
    if found := re.search(rf"^export ((?:async )?function {name}\(.*?\)) \{{$", source, re.DOTALL | re.M):
        yield from ["```js", signature(found.group(1)), "```", ""]
        yield from comment(source, source.rfind("/**", 0, found.start()))
        return
    found = re.search(rf"^export class {name}\b.*?\{{", source, re.M)
    if found is None:
        raise PluginError(f"{file} exports no {name}, which index.js says")
    yield from comment(source, 0)
    body = source[found.end() :].partition("\n}\n")[0]
    method = r"  /\*\*(?:(?!\*/).)*?\*/\n  ((?:static )?(?:async )?\w+\(.*?\)) \{$"
    for one in re.finditer(method, body, re.DOTALL | re.M):
        yield from ["", "```js", signature(one.group(1)), "```", "", *comment(body, one.start() + 2)]


def signature(text: str) -> str:
    return " ".join(text.split())


def comment(source: str, start: int) -> list[str]:
    """The lines of the comment that begins at a place."""
    if not source.startswith("/**", start):
        start = source.index("/**", start)
    inner = source[start + 3 : source.index("*/", start)]
    return [re.sub(r"^\s*\* ?", "", line).rstrip() for line in inner.strip().splitlines()]


def table(rows: Iterable[tuple[str, str]], first: str = "field") -> list[str]:
    return [f"| {first} | |", "| --- | --- |", *(f"| `{name}` | {cell(text)} |" for name, text in rows), ""]


def cell(text: str) -> str:
    """Text that neither ends a cell nor is taken for HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;")
