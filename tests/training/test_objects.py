"""Objects and captions: what is drawn is what the caption says, and what is held out stays out."""

import numpy as np
import pytest
import torch

from training.captions import (
    all_attributes,
    by_shape,
    draw_attributes,
    draw_caption,
    full_caption,
    is_true,
    make_tokenizer,
    split,
    stated_in_full,
    under_specified_prompts,
)
from training.objects import PARAMETERS, SHAPE_NAMES, TURN, Attributes, Scene, draw
from training.primitives import KINDS


def test_held_out_combinations_are_never_drawn():
    trained, held = split()
    rng = np.random.default_rng(0)
    drawn = {draw_attributes(rng, by_shape(trained)) for _ in range(2000)}
    assert drawn.isdisjoint(held)
    assert len(trained) + len(held) == len(all_attributes()) == len({full_caption(a) for a in all_attributes()})


def test_about_half_of_the_captions_leave_something_open():
    rng = np.random.default_rng(0)
    a = Attributes("mug", "red", "plain", "blue")
    captions = [draw_caption(rng, a) for _ in range(400)]
    assert all(is_true(said, a) for _, said in captions)
    share = np.mean([len(said) < 4 for _, said in captions])
    assert 0.4 < share < 0.6


@pytest.mark.parametrize(
    ("attributes", "caption"),
    [
        (Attributes("umbrella", "orange"), "an orange umbrella"),
        (Attributes("chair", "red", "plain", "blue"), "a red chair with blue legs"),
        (Attributes("house", "cyan", "plain", "orange"), "a cyan house with an orange roof"),
        (Attributes("cube", "black", "flat"), "a flat black cube"),
    ],
)
def test_full_captions_read_as_english(attributes, caption):
    assert full_caption(attributes) == caption


def test_every_under_specified_prompt_fits_several_objects():
    everything = all_attributes()
    for prompt in under_specified_prompts():
        assert sum(is_true(prompt["attributes"], a) for a in everything) > 4


def test_tokens_tell_all_captions_apart():
    tokenizer = make_tokenizer()
    texts = [full_caption(a) for a in all_attributes()]
    rows = tokenizer(texts, padding="max_length", truncation=True).input_ids
    assert len({tuple(row) for row in rows}) == len(texts)
    assert max(len(tokenizer(text).input_ids) for text in texts) <= 12


@pytest.mark.parametrize("shape", SHAPE_NAMES)
def test_an_object_lies_inside_the_volume_and_turns_with_its_yaw(shape):
    rng = np.random.default_rng(3)
    made = [draw(rng, Attributes(shape, "red", form)) for form in ("plain", "tall", "flat", "small")]
    scene = Scene.of(made)
    points = torch.rand(4, 4000, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    distance, _ = scene.distances(points)
    inside = points[distance < 0]
    assert len(inside) > 20
    assert inside.abs().max() < 1.0
    c, s = scene.turn[:, None, 0], scene.turn[:, None, 1]
    straight = torch.stack([c * points[..., 0] + s * points[..., 1], c * points[..., 1] - s * points[..., 0]], -1)
    scene.turn = torch.tensor([[1.0, 0.0]]).repeat(4, 1)
    again, _ = scene.distances(torch.cat([straight, points[..., 2:]], -1))
    torch.testing.assert_close(again, distance, atol=1e-4, rtol=1e-4)


def test_no_primitive_overstates_its_distance():
    dims = torch.tensor([0.3, 0.25, 0.2, 0.05])
    points = torch.rand(1, 3000, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
    step = torch.nn.functional.normalize(torch.randn(1, 3000, 3, generator=torch.Generator().manual_seed(2)), dim=-1)
    for name, function in KINDS.items():
        if name != "ellipsoid":  # only a first-order estimate
            change = (function(points + 0.01 * step, dims) - function(points, dims)).abs()
            assert change.max() <= 0.0101, name


def test_parameters_hold_all_that_determines_an_object():
    made = draw(np.random.default_rng(0), Attributes("mug", "red", "plain", "blue"))
    parameters = made.parameters()
    assert parameters.shape == (PARAMETERS,)
    assert np.allclose(
        parameters[TURN], [np.sin(made.yaw), np.cos(made.yaw), np.sin(2 * made.yaw), np.cos(2 * made.yaw)]
    )
    assert stated_in_full(made.attributes)["part_color"] == "blue"
