"""Templates of pages: everything is escaped, and a page may load nothing but what it carries itself."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from validate.ladder.words import between, loss_shown, show, signed, size
from validate.page.plots import legend

TEMPLATES = "templates"


def render(template: str, script: str = "", **data: Any) -> str:
    """A whole page. `script`: the file among the templates that the page runs; it alone may run."""
    source = _text(script) if script else ""
    return (
        _environment()
        .get_template(template)
        .render(
            style=Markup(_text("style.css")), script=Markup(source), script_hash=_hash(source) if script else "", **data
        )
    )


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"show": show, "signed": signed, "size": size, "legend": legend}
    environment.filters |= {"between": between, "loss_shown": loss_shown}
    return environment


def _text(name: str) -> str:
    return (files(__package__) / TEMPLATES / name).read_text(encoding="utf-8")


def _hash(source: str) -> str:
    """A source of the page's Content-Security-Policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
