"""The coefficients of a foreign sampler."""

from __future__ import annotations

import json

import numpy as np
import pytest

from exporter.adopt.description import AdoptedSampling
from exporter.adopt.scheduler_table import probed_table, read_table
from exporter.errors import RecipeError
from exporter.sampling.table import table_of
from tests.exporter.tiny import sampler, tiny_recipe


@pytest.fixture
def table(tiny):
    return table_of(tiny_recipe().sampler, tiny.scheduler("denoiser"))


def test_a_written_table_is_read_again(table, tmp_path):
    (tmp_path / "table.json").write_text(table.to_json())
    again = read_table(tmp_path / "table.json")
    assert again.to_json() == table.to_json() and again.evaluations == 7


def test_a_scheduler_configuration_gives_the_table_of_its_model(table, tiny_folder):
    sampling = AdoptedSampling(**sampler().model_dump(), latents="code", scheduler_config="scheduler_config.json")
    found = probed_table(tiny_folder / "scheduler" / "scheduler_config.json", sampling)
    np.testing.assert_array_equal(found.coefficients, table.coefficients)
    np.testing.assert_array_equal(found.timesteps, table.timesteps)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"terms": ["a"]}, "the columns are sample, prediction"),
        ({"x0": [[0, 1]]}, r"x0: found the shape \(1, 2\); \(7, 2\) fits the timesteps"),
        ({"coefficients": [[1, 2], [3]]}, "no coefficient table"),
        ({"timesteps": "many"}, "timesteps: Input should be a valid list"),
        ({"sigmas": []}, "sigmas: Extra inputs"),
    ],
)
def test_a_wrong_table_is_told(table, tmp_path, changes, told):
    path = tmp_path / "table.json"
    path.write_text(json.dumps(json.loads(table.to_json()) | changes))
    with pytest.raises(RecipeError, match=told):
        read_table(path)


def test_an_unknown_scheduler_is_told(tmp_path):
    path = tmp_path / "scheduler_config.json"
    path.write_text('{"_class_name": "PNDMSchedule"}')
    sampling = AdoptedSampling(**sampler().model_dump(), latents="code", scheduler_config=path.name)
    with pytest.raises(RecipeError, match="_class_name: found 'PNDMSchedule'; allowed: DDIMScheduler"):
        probed_table(path, sampling)
