"""The web client compares programs with their goldens; a sampler in one program has the limit of its latents."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from exporter.manifest import list_files, read_manifest, write_manifest
from exporter.runtime.bundle import Bundle
from exporter.runtime.inputs.noise import noise
from tests.exporter.runtime.web.foreign_bundle import write_foreign_bundle
from tests.node import CLIENT, node, run_node

TOLERANCES = {"stage_snr_db": 90.0, "latents_relative_l2": 0.01}
WRONG_BY = 0.001
VERIFY = """
import { WebBundle } from "./index.js";
import { verify } from "./goldens.js";
tell(await verify(await WebBundle.open(given)));
"""
STOP = """
import { WebBundle } from "./index.js";
import { verify } from "./goldens.js";
const bundle = await WebBundle.open(given);
const [stop, ran] = [new AbortController(), []];
bundle.runProgram = function (stage, tensors) {
  ran.push(stage);
  setTimeout(() => stop.abort(new Error("stopped")));
  return WebBundle.prototype.runProgram.call(this, stage, tensors);
};
tell([await verify(bundle, { signal: stop.signal }).catch(({ message }) => message), ran.length]);
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A bundle whose goldens of a map and of a whole sampler are wrong by a thousandth of what its programs make."""
    folder = write_foreign_bundle(tmp_path_factory.mktemp("recorded") / "bundle")
    bundle = Bundle.open(folder)
    run = bundle.make({"text": "round", "style": "wild"})
    goldens = {}
    for stage in ("mood", "fine", "bend"):
        taken = run.taken_by(stage) | {"sample": noise(3, (1, 3, 2, 2))}
        exact = 1.0 if stage == "mood" else 1.0 + WRONG_BY
        made = {name: exact * array for name, array in bundle.run_program(stage, taken).items()}
        goldens[stage] = [f"{stage}_000.npz"]
        np.savez(folder / goldens[stage][0], allow_pickle=False, **taken, **made)
    recipe = {"name": "foreign", "validation": {"tolerances": {"fp32": TOLERANCES}}}
    changes = {"goldens": goldens, "recipe": recipe, "files": list_files(folder)}
    write_manifest(folder, read_manifest(folder).model_copy(update=changes))
    return folder


def test_a_whole_sampler_strays_as_far_as_latents_may_and_other_stages_do_not(recorded):
    found = {(one["stage"], one["tensor"]): one for one in run_node(VERIFY, str(recorded))}
    assert set(found) == {("mood", "feeling"), ("fine", "cloud"), ("bend", "centre"), ("bend", "tint")}
    assert found["mood", "feeling"]["passed"]
    assert found["fine", "cloud"]["limit"] == pytest.approx(40) and found["fine", "cloud"]["passed"]
    for tensor in ("centre", "tint"):
        one = found["bend", tensor]
        assert one["limit"] == 90 and not one["passed"] and one["snr"] == pytest.approx(60, abs=0.1)


def test_a_signal_ends_it_before_the_next_golden(recorded):
    assert run_node(STOP, str(recorded)) == ["stopped", 1]


def test_the_command_names_what_missed_and_ends_with_code_5(recorded):
    done = subprocess.run([node(), CLIENT / "verify.js", recorded], capture_output=True, text=True, timeout=120)
    assert done.returncode == 5 and "2 of 4 outputs hold" in done.stdout
    missed = [line.split()[1:3] for line in done.stdout.splitlines() if line.startswith("MISSED")]
    assert missed == [["bend", "centre"], ["bend", "tint"]]
