"""What is compared of Point-E: every published network, then how they are sampled."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from validate.originals.comparison import Comparison
from validate.originals.point_e_networks import NETWORKS as CONFIGURATIONS
from validate.originals.point_e_networks import compare_networks
from validate.originals.point_e_trajectories import TRAJECTORIES, compare_trajectories

NETWORKS = (*CONFIGURATIONS, *TRAJECTORIES)


def compare(code: Path, networks: Sequence[str]) -> Iterator[Comparison]:
    """Those of `NETWORKS` that are named, with the authors' code imported from a folder."""
    sys.path.insert(0, str(code))
    yield from compare_networks([name for name in networks if name in CONFIGURATIONS])
    yield from compare_trajectories([name for name in networks if name in TRAJECTORIES])
