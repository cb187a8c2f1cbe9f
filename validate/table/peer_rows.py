"""Bundles of the peers: the fp32 programs through another quantizer, with the inputs that ours was calibrated on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from exporter.families.registry import load_model
from exporter.files.cache import Cache
from exporter.files.recorded import recorded_of
from exporter.machine.meter import Progress
from exporter.recipe.recipe import Recipe
from exporter.runtime.bundle import Bundle
from exporter.runtime.sessions.session import open_session
from exporter.workshop.calibration import record
from validate.peers.bundle import with_programs
from validate.peers.peer import Peer
from validate.peers.quantize import PeerFailed, quantize

MESSAGE = 300


def record_shards(recipe: Recipe, cache: Cache, progress: Progress) -> Path:
    """The folder of recorded inputs `<stage>_<k>.npz`, from the cache where it has them."""
    model = load_model(recipe.model.family, recipe.weights, **recipe.model_settings)
    settings = recipe.quantization.calibration
    inputs = {
        "weights": model.weights_digest,
        **recipe.sampler_data(),
        "calibration": settings.model_dump(exclude={"observer", "percentile"}),
    }
    step = "record inputs for peers"

    def make(folder: Path) -> None:
        record(model, recipe, folder, lambda done, total: progress.advanced(step, done, total))

    progress.started(step)
    return cache.get(step, inputs, make)[0].folder


def peer_bundle(peer: Peer, fp32: Bundle, shards: Path, out: Path, cache: Cache) -> tuple[Bundle, str]:
    """A bundle of float32 programs with the peer's in their places, in `out`; and a note on stages it could not do.

    Each program has to run on the first recorded input. Raises PeerFailed where none does, EnvironmentProblem where
    the peer cannot be installed.
    """
    programs, failed = {}, {}
    for stage, part in fp32.manifest.stages.items():
        if recorded := recorded_of(shards, stage):
            try:
                programs[stage] = quantize(peer, fp32.folder / part.program, recorded, cache)
                _require_running(programs[stage], recorded[0], fp32)
            except PeerFailed as error:
                programs.pop(stage, None)
                failed[stage] = str(error)
    if not programs:
        raise PeerFailed(next(iter(failed.values()), "the bundle has no stage to quantize"))
    with_programs(fp32.folder, programs, f"{fp32.manifest.name} by {peer.name}", peer.precision, out)
    return Bundle.open(out), "; ".join(f"{stage} left in fp32 ({reason})" for stage, reason in failed.items())


def _require_running(program: Path, shard: Path, bundle: Bundle) -> None:
    """Raises PeerFailed with what the runtime says of a program that it does not open or run."""
    target = bundle.manifest.target
    with np.load(shard, allow_pickle=False) as file:
        inputs = {name: file[name] for name in file.files if name != "prompts"}
    try:
        open_session(target["backend"], program, target.get("session", {})).run(inputs)
    # A runtime has its own exceptions, and a program can bring about any of them.
    except Exception as error:
        told = " ".join(str(error).replace(str(program), program.name).split())
        raise PeerFailed(told[:MESSAGE]) from error
