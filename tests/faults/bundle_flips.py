"""A flipped bit in any file of a bundle."""

from __future__ import annotations

from functools import partial

from tests.faults.bundle_damage import damage_bundle
from tests.faults.damage import flip
from tests.faults.fault import Fault

FAULT = Fault(
    "bundle-flips",
    "flips one bit of one file of a bundle; opening it (for the report: releasing it) refuses with a clean error",
    2400,
    partial(damage_bundle, damages={"flipped": flip}),
)
