"""YAML documents that remember the line of every value, and pydantic errors told in terms of those lines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from exporter.errors import RecipeError, did_you_mean

Location = tuple[str | int, ...]
# The constructors of tags let out whatever a value that does not fit them brings about.
WRONG_YAML = (yaml.YAMLError, ValueError, KeyError, AttributeError, TypeError, RecursionError)
ModelT = TypeVar("ModelT", bound=BaseModel)
NUMBER_WITH_UNIT = re.compile(r"^\s*[-+]?[\d.]+(?:[eE][-+]?\d+)?\s*([A-Za-z%µ²³]+)\s*$")


class CoreLoader(yaml.SafeLoader):
    """Safe YAML with the scalars of YAML 1.2: `1e-3` is a number, `no` and `on` are words, a date is a string."""

    yaml_implicit_resolvers: ClassVar[dict] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        # An alias can refer to itself, or a few lines of them unfold into gigabytes.
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem="aliases are not used here, write the value again", problem_mark=mark)
        return super().compose_node(parent, index)


for tag, pattern, starts in (
    ("bool", r"^(?:true|True|false|False)$", "tTfF"),
    ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
    ("float", r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
    ("null", r"^(?:~|null|Null|)$", "~nN"),
):
    CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(starts))
CoreLoader.yaml_implicit_resolvers.setdefault("", []).append(("tag:yaml.org,2002:null", re.compile("^$")))
CoreLoader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(loader.construct_scalar(node)))
CoreLoader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(loader.construct_scalar(node)))


@dataclass
class Document:
    """Data of a file, with the place ("file:line" or "--set …") each value came from."""

    data: dict[str, Any]
    places: dict[Location, str] = field(default_factory=dict)
    source: str = ""

    def place(self, location: Location) -> str:
        """Where the value at `location`, or else its nearest parent, was written."""
        for length in range(len(location), -1, -1):
            if location[:length] in self.places:
                return self.places[location[:length]]
        return self.source


def read_yaml(path: Path) -> Document:
    """Reads one mapping from a YAML file. Raises RecipeError with the line for anything that is not plain YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        siblings = [p.name for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        hint = f"; {did_you_mean(path.name, siblings)}" if siblings else ""
        raise RecipeError(f"{path}: no such file{hint}") from None
    except IsADirectoryError:
        inside = ", ".join(sorted(p.name for p in path.glob("*.yaml"))[:5])
        hint = f"; there are in it: {inside}" if inside else ""
        raise RecipeError(f"{path}: a folder, where a .yaml file is expected{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, source: str) -> Document:
    """Parses one mapping; `source` names it in errors."""
    try:
        loader = CoreLoader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise RecipeError(f"{source}:1: found {text.strip()[:40]!r}; a mapping of fields is expected")
        places: dict[Location, str] = {(): f"{source}:1"}
        _note_places(node, (), places, source)
        return Document(loader.construct_document(node), places, source)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise RecipeError(f"{source}{line}: not valid YAML: {error.problem or error.context}") from None
    except WRONG_YAML as error:
        raise RecipeError(f"{source}: not valid YAML: {error}") from None


def parse_value(text: str) -> Any:
    """One YAML value, as on the right side of `--set a.b=value`."""
    try:
        return yaml.load(text, CoreLoader)
    except WRONG_YAML as error:
        problem = getattr(error, "problem", None) or error
        raise RecipeError(f"{text!r} is not a YAML value: {problem}") from None


def _note_places(node: yaml.Node, at: Location, places: dict[Location, str], source: str) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise RecipeError(f"{source}:{key.start_mark.line + 1}: a field name has to be a word")
            if key.value in seen:
                name = ".".join(map(str, (*at, key.value)))
                raise RecipeError(f"{source}:{key.start_mark.line + 1}: {name}: written twice; keep one of the two")
            seen.add(key.value)
            field = (*at, key.value)
            places[field] = f"{source}:{key.start_mark.line + 1}"
            _note_places(value, field, places, source)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            item = (*at, index)
            places[item] = f"{source}:{value.start_mark.line + 1}"
            _note_places(value, item, places, source)


def validate(model: type[ModelT], document: Document) -> ModelT:
    """`document` as a `model`. Raises RecipeError that tells every wrong field on a line of its own."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        lines = [tell(model, document, item) for item in _causes(error)]
        raise RecipeError("\n".join(dict.fromkeys(lines))) from None


def _causes(error: ValidationError) -> list[Any]:
    """The errors without those that only follow from a misspelt key."""
    errors = error.errors(include_url=False)
    wrong_keys = [item["loc"][:-1] for item in errors if item["loc"][-1:] == ("[key]",)]
    return [
        item
        for item in errors
        if item["loc"][-1:] == ("[key]",) or not any(item["loc"][: len(key)] == key for key in wrong_keys)
    ]


def tell(model: type[BaseModel], document: Document, error: Mapping[str, Any]) -> str:
    """One pydantic error as `file:line: field: what was found; what is allowed; the nearest valid name`."""
    location = tuple(part for part in error["loc"] if part != "[key]")
    name = ".".join(map(str, location)) or "the file"
    place = document.place(location)
    parent, known = model_at(model, location[:-1]), field_at(model, location)
    if error["type"] == "extra_forbidden" and parent is not None:
        return f"{place}: {name}: unknown field; {did_you_mean(str(location[-1]), parent.model_fields)}"
    if error["type"] == "missing":
        described = f" ({known.description})" if known and known.description else ""
        return f"{place}: {name}: this field is required{described}"
    found = error["input"]
    if error["type"] == "value_error":
        return f"{place}: {name}: {error['ctx']['error']}"
    if error["type"] == "model_type" and (section := model_at(model, location)):
        return (
            f"{place}: {name}: found {found!r}; a section is expected, with {', '.join(sorted(section.model_fields))}"
        )
    choices = choices_of(known)
    if error["type"] == "literal_error" and choices:
        return f"{place}: {name}: found {found!r}; {did_you_mean(str(found), choices)}"
    return f"{place}: {name}: found {found!r}; {error['msg'][0].lower()}{error['msg'][1:]}{unit_hint(known, found)}"


def unit_hint(known: FieldInfo | None, found: object) -> str:
    """Says the unit of a field, and that it is not to be written, when the value carries one."""
    extra = known.json_schema_extra if known else None
    unit = extra.get("unit") if isinstance(extra, dict) else None
    if not unit:
        return ""
    written = NUMBER_WITH_UNIT.match(found) if isinstance(found, str) else None
    return f"; the unit is {unit}" + (f", write the number without '{written[1]}'" if written else "")


def choices_of(known: FieldInfo | None) -> tuple[str, ...]:
    """The words a field may take, also when it is a list of words or a mapping from words."""
    annotation = known.annotation if known else None
    for part in (annotation, *get_args(annotation)):
        if get_origin(part) is Literal:
            return tuple(map(str, get_args(part)))
    return ()


def model_at(model: type[BaseModel], location: Sequence[str | int]) -> type[BaseModel] | None:
    """The pydantic model that describes the section at `location`."""
    current: Any = model
    for part in location:
        if isinstance(current, type) and issubclass(current, BaseModel):
            info = current.model_fields.get(str(part))
            current = _inner(info.annotation) if info else None
        else:
            current = _inner(get_args(current)[-1]) if get_args(current) else None
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def field_at(model: type[BaseModel], location: Sequence[str | int]) -> FieldInfo | None:
    """The description of the field at `location`; an item of a list is described by its list."""
    for length in range(len(location), 0, -1):
        parent = model_at(model, location[: length - 1])
        if parent is not None:
            return parent.model_fields.get(str(location[length - 1]))
    return None


def _inner(annotation: Any) -> Any:
    """`X` out of `X | None`."""
    if get_origin(annotation) is Union or type(annotation).__name__ == "UnionType":
        return next((part for part in get_args(annotation) if part is not type(None)), None)
    return annotation
