"""Truncated and oversized files of a bundle."""

from __future__ import annotations

from functools import partial

from tests.faults.bundle_damage import damage_bundle
from tests.faults.damage import oversize, truncate
from tests.faults.fault import Fault

FAULT = Fault(
    "bundle-sizes",
    "truncates a file of a bundle or adds to it; opening it (for the report: releasing it) refuses with a clean error",
    800,
    partial(damage_bundle, damages={"truncated": truncate, "oversized": oversize}),
)
