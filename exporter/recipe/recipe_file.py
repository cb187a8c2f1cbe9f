"""From a recipe file to a Recipe: `extends` resolved, `--set` overrides applied, every error with its file and line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from exporter.errors import RecipeError
from exporter.files.atomic import write_atomically
from exporter.recipe.document import Document, Location, parse_value, read_yaml, validate
from exporter.recipe.policy import Policy
from exporter.recipe.published import AS, is_sampler, published, sampler_sections
from exporter.recipe.recipe import Recipe
from exporter.recipe.weights_name import moved, placed

WEIGHTS = ("model", "weights")
# Where paths of pictures may stand, and what they end in.
PICTURES = (("goldens", "prompts"), ("quantization", "calibration", "prompts"))
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def load_recipe(path: Path | str, overrides: Sequence[str] = (), weights: str | None = None) -> Recipe:
    """Reads, merges and checks a recipe.

    `overrides` are `a.b=value` with a YAML value, `a.0.b=value` for an item of a list and `a+=value` for one more, or
    several, at its end; `weights` replaces model.weights. What these
    name is sought from the working directory, and paths in a file from that file. Raises RecipeError (exit code 2)
    that names file, line, field, what was found, what is allowed and the nearest valid name.
    """
    return validate(Recipe, read_recipe(Path(path), overrides, weights)).in_folder(Path(path).parent)


def read_recipe(path: Path, overrides: Sequence[str] = (), weights: str | None = None) -> Document:
    """The merged, not yet checked data of a recipe with the place of every value."""
    document = _read_with_parents(path, ())
    for override in overrides:
        _apply(document, override)
        _include_policy(document, Path())
    _include_published(document)
    if weights is not None:
        _assign(document, WEIGHTS, placed(weights, Path.cwd()), "--weights")
    return document


def write_extension(path: Path, parent: Path, changes: dict[str, Any]) -> None:
    """Writes a recipe that is another one but for `changes`, which begin with its name."""
    above = Path(os.path.relpath(parent.resolve(), path.resolve().parent)).as_posix()
    text = yaml.safe_dump({"extends": above, **changes}, sort_keys=False, allow_unicode=True, width=120)
    write_atomically(path, text.encode())


def _read_with_parents(path: Path, children: tuple[Path, ...]) -> Document:
    resolved = path.resolve()
    if resolved in children:
        ring = " -> ".join(p.name for p in (*children, resolved))
        raise RecipeError(f"{path}: extends: the recipes extend each other in a ring: {ring}")
    document = read_yaml(path)
    _include_policy(document, path.parent)
    _include_published(document)
    parent = document.data.pop("extends", None)
    if parent is None:
        return document
    place = document.place(("extends",))
    if not isinstance(parent, str):
        raise RecipeError(f"{place}: extends: found {parent!r}; the path of another recipe is expected")
    parent_path = path.parent / parent
    # A name that no file system takes is no file either; Path.is_file raises for it.
    if not os.path.isfile(parent_path):  # noqa: PTH113
        raise RecipeError(f"{place}: extends: {parent_path} is not a file; write a path relative to {path.name}")
    above = _read_with_parents(parent_path, (*children, resolved))
    way = Path(os.path.relpath(parent_path.parent, path.parent))
    _move_pictures(above, way)
    _move_weights(above, parent_path.parent, way)
    return _merge(above, document)


def _include_policy(document: Document, folder: Path) -> None:
    """Puts the rules of a policy file, named relative to `folder`, before a document's own."""
    section = document.data.get("quantization")
    if not isinstance(section, dict) or section.get("policy") is None:
        return
    name, place = section.pop("policy"), document.place(("quantization", "policy"))
    if not isinstance(name, str):
        raise RecipeError(f"{place}: quantization.policy: found {name!r}; the path of a policy file is expected")
    policy = read_yaml(folder / name)
    validate(Policy, policy)
    shared, own = policy.data.get("rules", []), section.get("rules") or []
    if not isinstance(own, list):
        return
    section["rules"] = [*shared, *own]
    places = {_moved(key, len(shared)): value for key, value in document.places.items()}
    document.places = places | {("quantization", *key): value for key, value in policy.places.items() if key}


def _include_published(document: Document) -> None:
    """Puts the fields of a published sampling in the place of its name, but for those that are written beside it."""
    for location, section in sampler_sections(document.data):
        if AS in section:
            name, place = section.pop(AS), document.place((*location, AS))
            for field, value in published(name, f"{place}: {'.'.join((*location, AS))}").items():
                if field not in section:
                    _assign(document, (*location, field), value, place)


def _move_pictures(document: Document, folder: Path) -> None:
    """Paths of pictures that are relative to the file of a recipe, from where `folder` lies on the way there."""
    for location in PICTURES:
        section: Any = document.data
        for part in location[:-1]:
            section = section.get(part) if isinstance(section, dict) else None
        given = section.get(location[-1]) if isinstance(section, dict) else None
        if isinstance(section, dict) and isinstance(given, list):
            section[location[-1]] = [
                Path(folder, one).as_posix() if isinstance(one, str) and one.lower().endswith(SUFFIXES) else one
                for one in given
            ]


def _move_weights(document: Document, folder: Path, way: Path) -> None:
    """The path of weights that is relative to `folder`, from where `way` leads there."""
    model = document.data.get("model")
    if isinstance(model, dict) and isinstance(model.get("weights"), str):
        model["weights"] = moved(model["weights"], folder, way)


def _moved(location: Location, count: int) -> Location:
    """Where a rule's place lies with `count` rules before it."""
    match location:
        case ("quantization", "rules", int(number), *rest):
            return ("quantization", "rules", number + count, *rest)
    return location


def _merge(parent: Document, child: Document) -> Document:
    merged = Document(parent.data, dict(parent.places), child.source)
    _merge_into(merged.data, child.data, (), merged, child)
    merged.places[()] = child.place(())
    return merged


def _merge_into(target: dict, source: dict, at: Location, merged: Document, child: Document) -> None:
    for key, value in source.items():
        here = (*at, key)
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            merged.places[here] = child.place(here)
            _merge_into(target[key], value, here, merged, child)
        else:
            target[key] = value
            merged.places = {k: v for k, v in merged.places.items() if k[: len(here)] != here}
            merged.places |= {k: v for k, v in child.places.items() if k[: len(here)] == here}


def _apply(document: Document, override: str) -> None:
    name, equals, text = override.partition("=")
    adds = name.endswith("+")
    name = name.removesuffix("+")
    if not equals or not all(name.split(".")):
        raise RecipeError(f"--set {override}: write it as section.field=value, for example --set sampler.steps=16")
    location, value, place = tuple(name.strip().split(".")), parse_value(text), f"--set {override}"
    if adds:
        _add(document, location, value, place)
        return
    if location == WEIGHTS and isinstance(value, str):
        value = placed(value, Path.cwd())
    if location[-1] != AS or not is_sampler(location[:-1]):
        _assign(document, location, value, place)
        return
    # An override wins over what the files say, so that all fields of the sampling do.
    for field, own in published(value, place).items():
        _assign(document, (*location[:-1], field), own, place)


def _add(document: Document, location: tuple[str, ...], value: object, place: str) -> None:
    """Puts a value, or each of a list, behind what the list at `location` holds."""
    *above, name = location
    section = document.data
    for part in above:
        section = section.get(part, {}) if isinstance(section, dict) else {}
    there = section.get(name) if isinstance(section, dict) else None
    if not (there is None or isinstance(there, list)):
        raise RecipeError(f"{place}: {'.'.join(location)} is {there!r}, no list that could be added to; write = for +=")
    own, more = list(there or []), value if isinstance(value, list) else [value]
    places = {k: v for k, v in document.places.items() if k[: len(location)] == location}
    _assign(document, location, [*own, *more], place)
    document.places |= places | {(*location, len(own) + k): place for k in range(len(more))}


def _assign(document: Document, location: tuple[str, ...], value: object, place: str) -> None:
    section: Any = document.data
    at: Location = ()
    for part in location[:-1]:
        key = _key(section, part, at, place)
        at = (*at, key)
        inner = section[key] if isinstance(key, int) else section.setdefault(part, {})
        document.places.setdefault(at, place)
        if not isinstance(inner, dict | list):
            raise RecipeError(f"{place}: {'.'.join(map(str, at))} is a value, not a section")
        section = inner
    at = (*at, _key(section, location[-1], at, place))
    section[at[-1]] = value
    document.places = {k: v for k, v in document.places.items() if k[: len(at)] != at}
    document.places[at] = place


def _key(section: dict | list, part: str, at: Location, place: str) -> str | int:
    """What a part of a name stands for: the number of an item, where it is in a list. Raises RecipeError."""
    if not isinstance(section, list):
        return part
    if part.isdecimal() and int(part) < len(section):
        return int(part)
    holds = f"has {len(section)} items, from 0 to {len(section) - 1}" if section else "is empty"
    name = ".".join(map(str, at))
    raise RecipeError(f"{place}: {name} {holds}, and {part!r} is none of them; {name}+=… adds one")
