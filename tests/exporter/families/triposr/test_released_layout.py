"""TripoSR's folder as it is released: its names, wrappers around them, and what is refused."""

from __future__ import annotations

import json
import re

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch.nn import functional as F

from exporter.errors import NoSuchWeights, WeightsError
from exporter.families.registry import load_model
from exporter.families.triposr.random_planes import RANDOM_SIZES
from exporter.families.triposr.released_layout import frozen_positions, read_config, todays_name
from exporter.families.triposr.triplane_networks import PART_CLASSES

TINY = RANDOM_SIZES["triposr-tiny"]


def names_of_2023(name):
    """A tensor as transformers 4.35, and with it the release, calls it."""
    for new, old in (("q", "query"), ("k", "key"), ("v", "value")):
        name = name.replace(f".attention.{new}_proj.", f".attention.attention.{old}.")
    for new, old in ((".attention.o_proj.", ".attention.output.dense."), (".mlp.fc1.", ".intermediate.dense."),
                     (".mlp.fc2.", ".output.dense."), (".model.layers.", ".model.encoder.layer.")):  # fmt: skip
        name = name.replace(new, old)
    return name


@pytest.fixture(scope="module")
def released():
    """A release's tensors, of the tiny model: the position embedding is that of pictures of 16 pixels."""
    model = load_model("triposr", "random:triposr-tiny")
    state = {f"{part}.{n}": t for part in PART_CLASSES for n, t in model.part(part).state_dict().items()}
    place = "image_tokenizer.model.embeddings.position_embeddings"
    state[place] = torch.randn(1, 5, 48, generator=torch.Generator().manual_seed(1))
    state["image_tokenizer.model.pooler.dense.weight"] = torch.zeros(48, 48)
    return {names_of_2023(name): tensor for name, tensor in state.items()}


@pytest.fixture
def write(tmp_path):
    def written(state=None, *, config=TINY, file="model.ckpt"):
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        if file.endswith("ckpt"):
            torch.save(state, tmp_path / file)
        elif state is not None:
            save_file(state, tmp_path / file)
        return tmp_path

    return written


def test_a_release_is_read_by_its_own_names(write, released):
    assert "image_tokenizer.model.encoder.layer.1.attention.attention.query.weight" in released
    model = load_model("triposr", str(write(released)))
    assert model.trained and model.config.tokens == 17 and model.config.planes == (3, 8, 8, 8)
    assert torch.equal(model.part("decoder").layers[0].weight, released["decoder.layers.0.weight"])
    tower = model.part("image_tokenizer").model
    assert torch.equal(
        tower.layers[1].attention.q_proj.weight,
        released["image_tokenizer.model.encoder.layer.1.attention.attention.query.weight"],
    )
    assert torch.equal(
        tower.layers[1].mlp.fc2.weight, released["image_tokenizer.model.encoder.layer.1.output.dense.weight"]
    )


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {
            "state_dict": {f"system.{name}": t for name, t in state.items()} | {"loss.vgg.weight": torch.ones(2)},
            "epoch": 3,
        },
    ],
    ids=["distributed", "lightning"],
)
def test_wrappers_come_off(write, released, wrapped):
    plain = load_model("triposr", str(write(released)))
    expected = plain.part("backbone").proj_in.weight
    found = load_model("triposr", str(write(wrapped(released)))).part("backbone").proj_in.weight
    assert torch.equal(found, expected)


def test_safetensors_of_the_same_names(write, released):
    folder = write({name: tensor.contiguous() for name, tensor in released.items()}, file="model.safetensors")
    assert torch.equal(
        load_model("triposr", str(folder)).part("tokenizer").embeddings, released["tokenizer.embeddings"]
    )


def test_the_position_embedding_is_that_of_transformers_4_35():
    """There a tenth of a patch was added to the edge that is scaled to; today's scale would be another by 1/320."""
    embedding = torch.randn(1, 197, 4, generator=torch.Generator().manual_seed(2))
    found = frozen_positions(embedding, 1025)
    grid = embedding[:, 1:].reshape(1, 14, 14, 4).permute(0, 3, 1, 2)
    theirs = F.interpolate(grid, scale_factor=(32.1 / 14, 32.1 / 14), mode="bicubic", align_corners=False)
    todays = F.interpolate(grid, size=(32, 32), mode="bicubic", align_corners=False)
    own = found[:, 1:].reshape(1, 32, 32, 4).permute(0, 3, 1, 2)
    assert torch.equal(found[:, :1], embedding[:, :1]) and torch.allclose(own, theirs, atol=1e-6)
    assert (own - todays).abs().max() > 1e-3
    assert frozen_positions(embedding, 197) is embedding


def test_every_name_of_the_full_size_is_there():
    """419 million numbers: the release has 418.7, with a position embedding for fewer patches."""
    config = load_model("triposr", "random:triposr").unfilled()
    parts = {name: config.part(name) for name in PART_CLASSES}
    assert sum(p.numel() for part in parts.values() for p in part.parameters()) == pytest.approx(419.3e6, rel=1e-3)
    assert parts["backbone"].transformer_blocks[15].ff.net[0].proj.weight.shape == (8192, 1024)
    assert parts["backbone"].transformer_blocks[3].attn2.to_k.weight.shape == (1024, 768)
    assert parts["decoder"].layers[18].weight.shape == (4, 64)
    assert parts["image_tokenizer"].model.embeddings.position_embeddings.shape == (1, 1025, 768)


def test_names_of_today_stay():
    name = "image_tokenizer.model.layers.3.attention.q_proj.bias"
    assert todays_name(names_of_2023(name)) == todays_name(name) == name


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"backbone_cls": "sf3d.models.transformers.backbone.TwoStreamInterleaveTransformer"}, "another model"),
        ({"backbone": TINY["backbone"] | {"activation_fn": "gelu"}}, "only 'geglu' can be exported"),
        ({"renderer": TINY["renderer"] | {"feature_reduction": "mean"}}, "only 'concat' can be exported"),
        ({"decoder": TINY["decoder"] | {"activation": "tanh"}}, "known are silu, relu"),
        ({"decoder": TINY["decoder"] | {"depth": 3}}, "decoder.depth is a field that TripoSR's code does not have"),
        ({"tokenizer": {"plane_size": 4}}, "tokenizer.num_channels is missing"),
        ({"tokenizer": {"plane_size": 4, "num_channels": 32}}, "post_processor.in_channels is 64"),
        ({"image_tokenizer": {"pretrained_model_name_or_path": "facebook/dinov2"}}, "known is facebook/dino-vitb16"),
        ({"cond_image_size": 33}, "cond_image_size is 33, no multiple of 8"),
        ({"backbone": TINY["backbone"] | {"in_channels": "${nowhere.width}"}}, "a field that is not there"),
    ],
)  # fmt: skip
def test_another_configuration_is_refused_by_its_field(tmp_path, change, told):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(TINY | change))
    with pytest.raises(WeightsError, match=re.escape(told)):
        read_config(tmp_path / "config.yaml")


def test_a_reference_is_followed(tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(TINY))
    assert TINY["backbone"]["in_channels"] == "${tokenizer.num_channels}"
    assert read_config(tmp_path / "config.yaml").parts["backbone"]["in_channels"] == 64


def test_weights_that_are_wrong_say_how(write, released):
    missing = {name: tensor for name, tensor in released.items() if name != "decoder.layers.0.bias"}
    with pytest.raises(WeightsError, match=r"(?s)layers\.0\.bias \[16\] is missing.*config\.yaml"):
        load_model("triposr", str(write(missing))).part("decoder")
    other = released | {"decoder.layers.0.bias": torch.zeros(17)}
    with pytest.raises(WeightsError, match=r"is \[17\], the configuration wants \[16\]"):
        load_model("triposr", str(write(other))).part("decoder")
    broken = released | {"decoder.layers.0.bias": torch.full((16,), float("nan"))}
    with pytest.raises(WeightsError, match=r"16 numbers of tensor 'layers.0.bias' are not finite"):
        load_model("triposr", str(write(broken))).part("decoder")
    with pytest.raises(WeightsError, match=r"has no tensor 'tokenizer\.embeddings'"):
        load_model("triposr", str(write({"planes": torch.ones(2)}))).part("decoder")


def test_a_checkpoint_with_more_than_tensors_is_not_run(write, tmp_path):
    class Harmful:
        def __reduce__(self):
            return (open, (str(tmp_path / "was_here"), "w"))

    with pytest.raises(WeightsError, match="holds more than tensors, and is not read"):
        load_model("triposr", str(write({"state": Harmful()}))).part("decoder")
    assert not (tmp_path / "was_here").exists()


def test_what_is_no_folder_of_triposr(tmp_path, write):
    with pytest.raises(NoSuchWeights, match="no such folder"):
        load_model("triposr", str(tmp_path / "nowhere"))
    with pytest.raises(WeightsError, match=r"config\.yaml: missing .*random:triposr"):
        load_model("triposr", str(tmp_path))
    with pytest.raises(WeightsError, match=r"model\.ckpt or model\.safetensors: missing"):
        load_model("triposr", str(write(file="none"))).part("decoder")
    (tmp_path / "model.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsError, match=r"more than tensors|truncated"):
        load_model("triposr", str(tmp_path)).part("decoder")


def test_random_weights_by_size_and_seed():
    one, other = (load_model("triposr", f"random:triposr-tiny{seed}") for seed in ("", ":1"))
    assert not one.trained and one.weights_digest != other.weights_digest
    assert not torch.equal(one.part("decoder").layers[0].weight, other.part("decoder").layers[0].weight)
    assert torch.equal(one.part("decoder").layers[0].weight, one.part("decoder").layers[0].weight)
    with pytest.raises(WeightsError, match="no size 'triposr-huge'"):
        load_model("triposr", "random:triposr-huge")
    with pytest.raises(WeightsError, match="one whole number"):
        load_model("triposr", "random:triposr-tiny:x")
    assert json.dumps(RANDOM_SIZES)
