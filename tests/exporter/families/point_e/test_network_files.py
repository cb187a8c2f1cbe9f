"""What lies in people's folders: OpenAI's files under any name, CLIP beside them, and what is not Point-E's."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel

from exporter.errors import NoSuchWeights, RecipeError, WeightsError
from exporter.families.point_e.network_files import CLIP
from exporter.families.point_e.random_networks import RANDOM_SIZES, TOKENIZER_MODEL, RandomNetwork, clip_configs
from exporter.families.registry import load_model
from exporter.recipe.weights_name import ZOO, require_there
from tests.exporter.tiny import tiny_recipe

TEXT, PICTURE = RANDOM_SIZES["point-e-tiny-text"], RANDOM_SIZES["point-e-tiny"]


def save(path, size, seed=0):
    tensors = {name: tensor.contiguous() for name, tensor in RandomNetwork(size, seed).network().state_dict().items()}
    (save_file if path.suffix == ".safetensors" else torch.save)(tensors, path)


@pytest.fixture
def folder(tmp_path):
    """A folder as openai/point-e fills it, and CLIP as the hub has it."""
    text, vision = clip_configs(TEXT)
    torch.manual_seed(0)
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=64)
    CLIPModel(config).save_pretrained(tmp_path / CLIP)
    for file in (ZOO / TOKENIZER_MODEL / "tokenizer").iterdir():
        shutil.copy(file, tmp_path / CLIP)
    save(tmp_path / "base_40m_textvec.pt", TEXT.base)
    save(tmp_path / "upsample_40m.pt", TEXT.upsampler)
    save(tmp_path / "sdf.pt", TEXT.distance)
    return tmp_path


def stages(weights):
    return list(load_model("point-e", str(weights)).pipeline(tiny_recipe()).stages)


def refusal(weights):
    with pytest.raises(WeightsError) as caught:
        load_model("point-e", str(weights))
    return str(caught.value)


def test_a_folder_with_one_base_model_is_a_model(folder):
    model = load_model("point-e", str(folder))
    assert stages(folder) == [
        "text_encoder", "base", "base_points", "upsampler", "cloud", "cloud_encoder", "field",
    ]  # fmt: skip
    assert model.trained and model.points == (1024, 3072)
    assert {file.part for file in model.weights_files} == {"base", "upsampler", "distance", "clip"}
    require_there(str(folder / "base_40m_textvec.pt"))
    assert model.weights_digest == load_model("point-e", str(folder / "base_40m_textvec.pt")).weights_digest
    tokens = model.original(tiny_recipe()).read([{"prompt": "a red chair"}])
    vector = model.original(tiny_recipe()).run_program("text_encoder", tokens)["clip_vector"]
    with torch.no_grad():
        own = CLIPModel.from_pretrained(folder / CLIP).text_model(torch.from_numpy(tokens["input_ids"]))
    assert vector.shape == (1, 64) and own.pooler_output.shape == (1, 64)


def test_safetensors_of_the_same_names_are_read_too(folder):
    before = load_model("point-e", str(folder)).base.network().state_dict()
    (folder / "base_40m_textvec.pt").unlink()
    save(folder / "mine.safetensors", TEXT.base)
    after = load_model("point-e", str(folder)).base.network().state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_half_precision_files_are_read_as_float32(folder):
    halves = {k: t.half() for k, t in RandomNetwork(TEXT.base, 0).network().state_dict().items()}
    torch.save(halves, folder / "base_40m_textvec.pt")
    network = load_model("point-e", str(folder)).base.network()
    assert {tensor.dtype for tensor in network.state_dict().values()} == {torch.float32}


def test_what_is_not_there_is_not_made(folder):
    (folder / "sdf.pt").unlink()
    assert stages(folder) == ["text_encoder", "base", "base_points", "upsampler", "cloud"]
    (folder / "upsample_40m.pt").unlink()
    assert stages(folder) == ["text_encoder", "base", "base_points", "cloud"]


@pytest.mark.parametrize(
    ("name", "size", "takes"),
    [
        ("base_40m_imagevec.pt", TEXT.base, {"base": ["clip_vector"], "upsampler": ["clip_grid", "low_res"]}),
        ("base_40m.pt", PICTURE.base, {"base": ["clip_grid"], "upsampler": ["clip_grid", "low_res"]}),
    ],
)
def test_models_of_pictures(folder, name, size, takes):
    (folder / "base_40m_textvec.pt").unlink()
    save(folder / name, size)
    pipeline = load_model("point-e", str(folder)).pipeline(tiny_recipe())
    assert list(pipeline.inputs) == ["picture"] and "image_encoder" in pipeline.stages
    assert {stage: [spec.name for spec in pipeline.stages[stage].takes] for stage in takes} == takes


def test_a_model_without_a_condition_takes_nothing_and_needs_no_clip(folder):
    shutil.rmtree(folder / CLIP)
    (folder / "base_40m_textvec.pt").unlink()
    save(folder / "base_40m_uncond.pt", type(TEXT.base)(128, 2, "none"))
    pipeline = load_model("point-e", str(folder)).pipeline(tiny_recipe())
    assert not pipeline.inputs and [spec.name for spec in pipeline.stages["upsampler"].takes] == ["low_res"]


def test_one_of_several_base_models_is_named(folder):
    save(folder / "base_40m.pt", PICTURE.base)
    assert "2 base models (base_40m.pt, base_40m_textvec.pt); give the file of one of them" in refusal(folder)
    assert "image_encoder" in stages(folder / "base_40m.pt")
    save(folder / "other.pt", TEXT.upsampler)
    assert "other.pt and upsample_40m.pt are both" in refusal(folder / "base_40m.pt")


def test_the_file_of_another_part_is_refused_as_a_base_model(folder):
    assert "an upsampler, which goes beside a base model" in refusal(folder / "upsample_40m.pt")
    assert "a signed distance, which goes beside a base model" in refusal(folder / "sdf.pt")


@pytest.mark.parametrize(
    ("tensors", "told"),
    [
        ({"wrapped.pos_emb": (4, 4), "wrapped.input_proj.weight": (4, 4)}, "its tensors are Shap-E's"),
        ({"renderer.nerstf.mlp.0.weight": (4, 4)}, "its tensors are Shap-E's"),
        ({"sa1.mlp_convs.0.weight": (4, 4)}, "the classifier that P-FID is measured with"),
        ({"text_model.embeddings.position_ids": (1, 4)}, "CLIP's, which has a folder of its own"),
        ({"layer.weight": (4, 4)}, "of no network that is known here (the first is layer.weight)"),
    ],
)
def test_files_of_other_models_say_whose_they_are(folder, tensors, told):
    torch.save({name: torch.zeros(shape) for name, shape in tensors.items()}, folder / "base_40m_textvec.pt")
    assert told in refusal(folder / "base_40m_textvec.pt")
    assert told in refusal(folder)


def test_shap_e_in_diffusers_layout_is_refused_by_name():
    assert "set model.family to shap-e" in refusal(ZOO / "shap_e_mini")


def test_files_that_cannot_be_opened(folder, tmp_path):
    base = folder / "base_40m_textvec.pt"
    whole = base.read_bytes()
    base.write_bytes(whole[: len(whole) // 2])
    assert "truncated, or not of torch.save" in refusal(base)
    torch.save({"weight": torch.zeros(2), "epoch": 3}, base)
    assert "not a state_dict, which has a tensor under every name" in refusal(base)
    torch.save({"model": Opened()}, base)
    assert "holds more than tensors, and is not read" in refusal(base)
    assert not Opened.times


class Opened:
    """Counts how often it was made from a file."""

    times = 0

    def __setstate__(self, state):
        Opened.times += 1

    def __getstate__(self):
        return {"some": "state"}


def test_tensors_that_do_not_fit_are_named(folder):
    tensors = RandomNetwork(TEXT.base, 0).network().state_dict()
    del tensors["ln_post.weight"]
    tensors["output_proj.bias"] = torch.zeros(6)
    torch.save(tensors, folder / "base_40m_textvec.pt")
    with pytest.raises(
        WeightsError, match=r"output_proj.bias is \[6\], wanted is \[12\]\n  ln_post.weight \[128\] is m"
    ):
        load_model("point-e", str(folder)).base.network()
    tensors = RandomNetwork(TEXT.base, 0).network().state_dict()
    tensors["ln_pre.bias"][3] = torch.nan
    torch.save(tensors, folder / "base_40m_textvec.pt")
    with pytest.raises(WeightsError, match=r"1 numbers of tensor 'ln_pre.bias' are not finite"):
        load_model("point-e", str(folder)).base.network()


def test_clip_has_to_be_there_and_to_fit(folder):
    (folder / CLIP / "model.safetensors").rename(folder / "away")
    assert "no weights; it has config.json" in refusal(folder)
    (folder / "away").rename(folder / CLIP / "model.safetensors")
    (folder / CLIP).rename(folder / "elsewhere")
    assert load_model("point-e", str(folder), clip=str(folder / "elsewhere")).clip
    with pytest.raises(RecipeError, match="has its own"):
        load_model("point-e", "random:point-e-tiny", clip="somewhere")
    (folder / "elsewhere").rename(folder / CLIP)
    shutil.rmtree(folder / CLIP)
    assert "hf download openai/clip-vit-large-patch14 --local-dir" in refusal(folder)
    with pytest.raises(NoSuchWeights):
        load_model("point-e", str(folder / "nowhere"))


def test_random_sizes_are_named_and_seeded():
    with pytest.raises(WeightsError, match="point-e-300m"):
        load_model("point-e", "random:point-e-30m")
    with pytest.raises(WeightsError, match="one whole number"):
        load_model("point-e", "random:point-e-tiny:x")
    one, other = (load_model("point-e", f"random:point-e-tiny{end}") for end in ("", ":1"))
    assert one.weights_digest != other.weights_digest and not one.trained


def test_the_published_sizes_have_the_published_numbers_of_parameters():
    """facts: 40,333,836, 40,466,956, 311,778,316 and 1,244,311,564; the upsampler's two buffers are no parameters."""
    counts = {"point-e-40m-text": 40_333_836, "point-e-40m": 40_466_956}
    counts |= {"point-e-300m": 311_778_316, "point-e-1b": 1_244_311_564}
    for name, count in counts.items():
        bare = load_model("point-e", f"random:{name}").unfilled()
        found = [
            sum(p.numel() for p in part.network().parameters()) for part in (bare.base, bare.upsampler, bare.distance)
        ]
        assert found == [count, 40_470_540, 9_481_985]


def test_clip_is_read_from_the_very_files_that_are_digested(folder):
    clip = folder / CLIP
    expected = load_model("point-e", str(folder)).modules(tiny_recipe())["text_encoder"]().state_dict()
    torch.save(load_file(clip / "model.safetensors"), clip / "pytorch_model.bin")
    (clip / "model.safetensors").unlink()
    (clip / "flax_model.msgpack").write_bytes(b"of no use")
    model = load_model("point-e", str(folder))
    assert {"pytorch_model.bin"} < {file.name for file in model.weights_files if file.part == "clip"}
    found = model.modules(tiny_recipe())["text_encoder"]().state_dict()
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)
    torch.save({"model": torch.nn.Linear(2, 2)}, clip / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="a pickle can run code"):
        load_model("point-e", str(folder)).modules(tiny_recipe())["text_encoder"]()
