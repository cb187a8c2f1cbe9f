"""`explain`: the fields of a recipe or a target for people, or their schema for programs."""

from __future__ import annotations

from pydantic import BaseModel
from rich.markup import escape

from t3export.output import print_json, results
from t3export.section_fields import about, fields_at, fields_of, schema_of


def print_fields(section: type[BaseModel], field: str | None, verb: str, as_json: bool) -> None:
    """Print every field of a section, or one and what is below it. Raises RecipeError for a field there is not."""
    fields = fields_at(section, field, verb) if field else fields_of(section)
    if as_json:
        print_json(schema_of(next(iter(fields.values()))) if field else section.model_json_schema())
        return
    for name, info in fields.items():
        results().print(f"[bold]{name}[/]  {escape(about(info))}")
