"""Every field of a recipe or a target by its dotted name, and what is said of it; `*` stands for a mapping's keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from exporter.errors import RecipeError, nearest
from exporter.recipe.document import choices_of

ANY_KEY = "*"


def fields_of(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """All of them, each section before its fields."""
    return dict(_below(section, ""))


def fields_at(section: type[BaseModel], name: str, verb: str) -> dict[str, FieldInfo]:
    """The field or section of that name, then everything below it.

    `name` may have a key, such as a precision, in the place of `*`. Raises RecipeError for one that does not exist,
    with the nearest that does, and the verb that lists all of them.
    """
    fields = fields_of(section)
    found = {known: info for known, info in fields.items() if _leads_to(name.split("."), known.split("."))}
    if not found:
        close = nearest(name, fields)
        hint = f"did you mean '{close}'? " if close else ""
        raise RecipeError(f"{name}: no such field; {hint}`t3export {verb}` lists all of them")
    return found


def schema_of(info: FieldInfo) -> dict[str, Any]:
    """The JSON schema of one field."""
    field: Any = Annotated[info.annotation, info]
    return TypeAdapter(field).json_schema()


def about(info: FieldInfo) -> str:
    """What a field means, what it may be, its unit and its default, in sentences."""
    extra: Any = info.json_schema_extra or {}
    parts = [f"{info.description or info.title}."]
    if choices_of(info):
        parts.append(f"One of {', '.join(choices_of(info))}.")
    if "unit" in extra:
        parts.append(f"Unit: {extra['unit']}.")
    if info.is_required():
        parts.append("Required.")
    elif info.default_factory is None and info.default not in (None, ""):
        parts.append(f"Default: {info.default}.")
    return " ".join(parts)


def _leads_to(name: list[str], known: list[str]) -> bool:
    return len(name) <= len(known) and all(b in (a, ANY_KEY) for a, b in zip(name, known, strict=False))


def _below(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, info in model.model_fields.items():
        yield prefix + name, info
        section, is_mapping = _section(info.annotation)
        if section:
            below = f"{prefix}{name}."
            if is_mapping:
                doc = (section.__doc__ or "").strip().removesuffix(".")
                yield below + ANY_KEY, FieldInfo(annotation=section, description=doc, default=None)
                below += f"{ANY_KEY}."
            yield from _below(section, below)


def _section(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The section that a field holds, perhaps a list of, none or by key; and whether it is by key."""
    parts = get_args(annotation) if get_origin(annotation) else (annotation,)
    sections = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
    return (sections[0] if sections else None), get_origin(annotation) is dict
