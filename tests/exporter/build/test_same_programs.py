"""One build from each kind of file makes the same programs, to the last byte."""

from __future__ import annotations

from functools import partial

import pytest

from exporter.build.build import build
from exporter.families.registry import load_model
from exporter.files.cache import Cache
from exporter.recipe.recipe import Recipe
from exporter.targets.target import load_target
from tests.exporter.families.shap_e import layouts
from tests.exporter.tiny_image import write_pictures, write_tiny_shap_e_image

TEXT, PICTURE = "shap-e", "shap-e-image"
KINDS = {
    "bin, published": layouts.as_published,
    "bin, sharded": layouts.sharded_bin,
    "safetensors, sharded": layouts.sharded,
    "openai, decoder": layouts.openai_files,
    "openai, transmitter": partial(layouts.openai_files, decoder="transmitter.pt"),
}
IMAGE_KINDS = {"bin, published": layouts.image_as_published, "openai, decoder": layouts.openai_image_files}
TOLERANCES = {
    "stage_snr_db": 60.0,
    "trajectory_snr_db": 60.0,
    "latents_relative_l2": 1e-2,
    "mesh_iou": 0.99,
    "chamfer": 1e-2,
    "render_psnr_db": 40.0,
}


def programs(weights, out, family=TEXT, made="a red chair"):
    """The digest of every file of every stage; `made`: what the golden is made of."""
    recipe = Recipe.model_validate(
        {
            "name": "layouts",
            "model": {"family": family, "weights": str(weights)},
            "sampler": {"scheduler": "euler", "steps": 1, "guidance_scale": 3.0},
            "mesh": {"grid": 16},
            # OpenAI's own files are black there.
            "render": {"size": 16, "coarse_samples": 8, "fine_samples": 12, "background": [255, 255, 255]},
            "quantization": {"rules": []},
            "goldens": {"prompts": [made]},
            "validation": {"tolerances": {"fp32": TOLERANCES}},
        }
    )
    report = build(recipe, load_target("cpu"), out, cache=Cache(out.with_suffix(".cache")))
    files = report.manifest.files.items()
    return {name: part.sha256 for name, part in files if name.partition("/")[0] in report.manifest.stages}


@pytest.fixture(scope="module")
def of_plain_files(tiny_folder, tmp_path_factory):
    return programs(tiny_folder, tmp_path_factory.mktemp("plain") / "bundle")


# That the others give the same tensors is tested beside the loader.
@pytest.mark.parametrize("kind", ["bin, published", "openai, transmitter"])
def test_a_small_model(kind, tiny_folder, of_plain_files, tmp_path):
    assert programs(KINDS[kind](tiny_folder, tmp_path / "weights"), tmp_path / "bundle") == of_plain_files


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    return str(write_pictures(tmp_path_factory.mktemp("picture"), count=1)[0])


@pytest.mark.slow
def test_a_small_model_that_takes_pictures(picture, tmp_path):
    plain = write_tiny_shap_e_image(tmp_path / "plain")
    expected = programs(plain, tmp_path / "bundle", PICTURE, picture)
    weights = layouts.openai_image_files(plain, tmp_path / "weights")
    assert programs(weights, tmp_path / "other", PICTURE, picture) == expected


@pytest.fixture(scope="module")
def full_size(tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    plain = layouts.write_hub_layout(load_model("shap-e", "random:shap-e-300m"), folder / "plain")
    return plain, programs(plain, folder / "bundle")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_full_size(kind, full_size, tmp_path):
    plain, expected = full_size
    assert programs(KINDS[kind](plain, tmp_path / "weights"), tmp_path / "bundle") == expected


@pytest.fixture(scope="module")
def full_size_of_pictures(tmp_path_factory, picture):
    folder = tmp_path_factory.mktemp("full")
    plain = layouts.write_image_hub_layout(load_model(PICTURE, "random:shap-e-image-300m"), folder / "plain")
    return plain, programs(plain, folder / "bundle", PICTURE, picture)


@pytest.mark.slow
@pytest.mark.parametrize("kind", IMAGE_KINDS)
def test_the_full_size_that_takes_pictures(kind, full_size_of_pictures, picture, tmp_path):
    plain, expected = full_size_of_pictures
    weights = IMAGE_KINDS[kind](plain, tmp_path / "weights")
    assert programs(weights, tmp_path / "bundle", PICTURE, picture) == expected
