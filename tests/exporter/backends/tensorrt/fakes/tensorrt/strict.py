"""The real API's names and signatures, and a decorator that holds a fake class to them."""

from __future__ import annotations

import enum
import functools
import json
import os
from pathlib import Path

VERSION = os.environ.get("FAKE_TENSORRT_VERSION", "10.3")
_FILE = Path(__file__).parents[2] / "api" / f"python_{VERSION}.json"
_DATA = json.loads(_FILE.read_text(encoding="utf-8"))
API = {name: enum.IntEnum(name, part["values"], start=0) if "values" in part else part for name, part in _DATA.items()}


def known(name):
    """Calls have to fit a signature of the real class; what the fake lacks and the real class has is harmless."""
    part = _DATA[name]

    def decorate(cls):
        for method, function in list(vars(cls).items()):
            if method in part["methods"] and (not method.startswith("__") or method == "__init__"):
                setattr(cls, method, _checked(name, method, function, part["methods"][method]))
            elif callable(function) and not method.startswith("_"):
                delattr(cls, method)  # of the other version

        def missing(self, attribute):
            if attribute in part["properties"]:
                return None
            if attribute in part["methods"]:
                raise NotImplementedError(f"fake {name}.{attribute}")
            raise AttributeError(f"TensorRT {VERSION}: {name} has no {attribute}")

        cls.__getattr__ = missing
        return cls

    return decorate


def _checked(name, method, function, signatures):
    @functools.wraps(function)
    def call(self, *args, **kwargs):
        fitting = [s for s in signatures if len(args) <= len(s) and set(kwargs) <= set(s[len(args) :])]
        if not fitting:
            raise TypeError(f"TensorRT {VERSION}: {name}.{method} takes {signatures}, not {len(args)} and {kwargs}")
        return function(self, *args, **kwargs)

    return call
