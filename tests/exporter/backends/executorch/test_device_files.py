"""The page that an app's author reads, written from a pipeline that was never built."""

from __future__ import annotations

import json
import re

import pytest

from exporter.backends.executorch.device_files import TOO_LONG, write_device_files
from exporter.machine.meter import Silent
from exporter.targets.target import load_target
from exporter.workshop.workshop import Workshop
from tests.exporter.build.test_build import recipe_of

TARGET = load_target("cpu-executorch")


@pytest.fixture
def pages(tiny_folder, step_cache, tmp_path):
    """A function that writes the files for a sampler with these settings, and gives their folder."""

    def write(**sampler):
        workshop = Workshop.open(recipe_of(tiny_folder, **sampler), TARGET, step_cache, Silent())
        write_device_files(workshop, tmp_path)
        return tmp_path / "device"

    return write


def steps_of(page):
    """The numbered steps, with the number of each."""
    return {int(number): step for number, step in re.findall(r"^(\d+)\. (.*)$", page, re.MULTILINE)}


def test_every_stage_is_named_in_the_order_in_which_it_runs(pages):
    page = (pages() / "README.md").read_text()
    steps = steps_of(page)
    assert "$" not in page and "{" not in page
    assert list(steps) == [1, 2, 3, 4, 5, 6, 7]
    programs = [re.search(r"`(\w+)/program\.pte`", step) for step in steps.values()]
    assert [found[1] if found else None for found in programs] == [
        None, "text_encoder", None, "denoiser", "projector", "field", "renderer"
    ]  # fmt: skip


def test_every_step_says_what_goes_in_and_what_comes_out(pages):
    steps = steps_of((pages() / "README.md").read_text())
    assert "[1, 12] of `prompt`: `tokenizer/tokenizer.json`" in steps[1] and "cut to 12" in steps[1]
    assert steps[2] == "`text_encoder/program.pte`: input_ids to embedding."
    assert "Noise [1, 64, 20] of a seed" in steps[3]
    assert "7 times" in steps[4] and "`samplers/denoiser.json`" in steps[4] and "is latents." in steps[4]
    assert re.search(r": latents to mlp_\w+, mlp_\w+, mlp_\w+ and \d+ more\.$", steps[5])
    assert "to signed_distance (positive inside) and color" in steps[6] and "16³ points" in steps[6]
    assert "rays (origin, direction)" in steps[7]


def test_a_sampler_in_one_program_is_run_once(pages):
    page = (pages(unroll="full") / "README.md").read_text()
    assert "`denoiser/program.pte`, once: it holds all 7 evaluations" in page
    assert "previous_sample" not in page and " times" not in page


def test_tokens_and_noise_are_those_of_each_input_and_each_sampler(pages):
    folder = pages()
    tokens = json.loads((folder / "tokens.json").read_text())
    assert [len(vector["ids"]) for vector in tokens["prompt"]] == [12] * len(tokens["prompt"])
    assert {"a red chair", "", TOO_LONG} <= {vector["prompt"] for vector in tokens["prompt"]}
    noise = json.loads((folder / "noise.json").read_text())
    assert [(one["stage"], one["seed"], one["shape"]) for one in noise] == [
        ("denoiser", seed, [1, 64, 20]) for seed in (0, 1, 2**63)
    ]
    assert len({tuple(one["first"]) for one in noise}) == 3
