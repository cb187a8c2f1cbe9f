"""Every field of a recipe by its dotted name; `*` stands for the keys of a mapping."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from exporter.errors import RecipeError, nearest
from exporter.recipe.recipe import Recipe

ANY_KEY = "*"


def recipe_fields() -> dict[str, FieldInfo]:
    """All of them, each section before its fields."""
    return dict(_below(Recipe, ""))


def fields_at(name: str) -> dict[str, FieldInfo]:
    """The field or section of that name, then everything below it.

    `name` may have a key, such as a precision, in the place of `*`. Raises RecipeError for one that does not exist,
    with the nearest that does.
    """
    fields = recipe_fields()
    found = {known: info for known, info in fields.items() if _leads_to(name.split("."), known.split("."))}
    if not found:
        close = nearest(name, fields)
        hint = f"did you mean '{close}'? " if close else ""
        raise RecipeError(f"{name}: no such field; {hint}`t3export recipe explain` lists all of them")
    return found


def _leads_to(name: list[str], known: list[str]) -> bool:
    return len(name) <= len(known) and all(b in (a, ANY_KEY) for a, b in zip(name, known, strict=False))


def _below(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, info in model.model_fields.items():
        yield prefix + name, info
        section, is_mapping = _section(info.annotation)
        if section:
            below = f"{prefix}{name}."
            if is_mapping:
                about = (section.__doc__ or "").strip().removesuffix(".")
                yield below + ANY_KEY, FieldInfo(annotation=section, description=about, default=None)
                below += f"{ANY_KEY}."
            yield from _below(section, below)


def _section(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The section that a field holds, perhaps a list of, none or by key; and whether it is by key."""
    parts = get_args(annotation) if get_origin(annotation) else (annotation,)
    sections = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
    return (sections[0] if sections else None), get_origin(annotation) is dict
