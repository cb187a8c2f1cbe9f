"""The same weights, however they lie on disk; what is no text-conditioned Shap-E is refused by what it is."""

from __future__ import annotations

import hashlib
import json
import re
import shutil

import pytest
import torch

from exporter.errors import RecipeError, WeightsError
from exporter.families.registry import load_model
from exporter.files.atomic import sha256_of
from tests.exporter.families.shap_e import layouts
from tests.exporter.tiny import write_tiny_shap_e

FULL = [
    layouts.as_published,
    layouts.only_bin,
    layouts.only_pt,
    layouts.sharded,
    layouts.sharded_bin,
    layouts.openai_files,
]
NOT_IN_OPENAI_FILES = ("prior/clip_mean", "prior/clip_std", "shap_e_renderer/void.background")
"""What nothing is computed from, and what is behind an object: black, where the hub has white."""
HALF = [layouts.only_half, layouts.sharded_half, layouts.half_under_plain_names]


def load(folder, **settings):
    return load_model("shap-e", str(folder), **settings)


def tensors(model):
    parts = {"text_encoder": model.text_encoder(), "prior": model.prior(), "shap_e_renderer": model.renderer()}
    return {f"{part}/{name}": t for part, module in parts.items() for name, t in module.state_dict().items()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return write_tiny_shap_e(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def expected(plain):
    return tensors(load(plain))


def require_same(found, expected, half=False):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        wanted = tensor.half().float() if half and tensor.is_floating_point() else tensor
        if name not in NOT_IN_OPENAI_FILES:
            assert torch.equal(found[name], wanted), name


@pytest.mark.parametrize("write", FULL, ids=lambda write: write.__name__)
def test_every_layout_gives_the_same_tensors(write, plain, expected, tmp_path):
    model = load(write(plain, tmp_path / "weights"))
    require_same(tensors(model), expected)
    assert model.input_files() == load(plain).input_files()


@pytest.mark.parametrize("write", HALF, ids=lambda write: write.__name__)
def test_half_precision_is_widened(write, plain, expected, tmp_path):
    model = load(write(plain, tmp_path / "weights"))
    require_same(tensors(model), expected, half=True)
    said = write is not layouts.half_under_plain_names
    assert any("prior: loaded from its variant fp16" in note for note in model.weights_notes) == said


def test_only_what_is_loaded_is_listed_and_digested(plain, tmp_path):
    folder = layouts.as_published(plain, tmp_path / "weights")
    model = load(folder)
    listed = {f"{file.part}/{file.name}": file for file in model.weights_files}
    assert sorted(listed) == [
        "prior/config.json",
        "prior/diffusion_pytorch_model.bin",
        "scheduler/scheduler_config.json",
        "shap_e_renderer/config.json",
        "shap_e_renderer/diffusion_pytorch_model.bin",
        "text_encoder/config.json",
        "text_encoder/pytorch_model.bin",
        "tokenizer/merges.txt",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
    ]
    assert all(file.sha256 == sha256_of(folder / name) for name, file in listed.items())
    (folder / "renderer/config.json").write_text('{"other": 1}')
    (folder / "prior/diffusion_pytorch_model.fp16.safetensors").unlink()
    assert load(folder).weights_digest == model.weights_digest
    (folder / "scheduler/scheduler_config.json").write_text('{"beta_schedule": "exp"}')
    assert load(folder).weights_digest != model.weights_digest


def test_the_digest_of_plain_files_is_over_their_names_and_contents(plain):
    lines = [
        f"{part}/{path.name}:{sha256_of(path)}\n"
        for part in ("text_encoder", "tokenizer", "prior", "scheduler", "shap_e_renderer")
        for path in sorted((plain / part).iterdir())
    ]
    assert load(plain).weights_digest == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_a_wanted_variant_is_taken_where_it_is(plain, expected, tmp_path):
    model = load(layouts.as_published(plain, tmp_path / "weights"), variant="fp16")
    assert any(file.name == "diffusion_pytorch_model.fp16.safetensors" for file in model.weights_files)
    assert "shap_e_renderer: has no variant fp16; its full precision was taken" in model.weights_notes
    found = tensors(model)
    require_same({k: v for k, v in found.items() if k.startswith("prior/")},
                 {k: v for k, v in expected.items() if k.startswith("prior/")}, half=True)  # fmt: skip
    require_same({k: v for k, v in found.items() if k.startswith("shap_e")},
                 {k: v for k, v in expected.items() if k.startswith("shap_e")})  # fmt: skip


def test_a_variant_that_nothing_has_names_those_there_are(plain, tmp_path):
    with pytest.raises(RecipeError, match=r"model.variant: .*'bf16'; there is fp16"):
        load(layouts.as_published(plain, tmp_path / "weights"), variant="bf16")
    with pytest.raises(RecipeError, match=r"model.variant: .*leave this field out"):
        load(plain, variant="fp16")
    with pytest.raises(RecipeError, match=r"model.variant: .*random weights"):
        load_model("shap-e", "random:shap-e-mini", variant="fp16")


def test_a_whole_file_beside_a_stale_index_is_taken(plain, expected, tmp_path):
    folder = shutil.copytree(plain, tmp_path / "weights")
    stale = {"weight_map": {"x": "diffusion_pytorch_model-00001-of-00002.safetensors"}}
    (folder / "prior/diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(stale))
    require_same(tensors(load(folder)), expected)


def test_a_missing_shard_is_named(plain, tmp_path):
    folder = layouts.sharded_bin(plain, tmp_path / "weights")
    (folder / "text_encoder/pytorch_model-00002-of-00003.bin").unlink()
    with pytest.raises(WeightsError, match=r"lists 3 shards, and pytorch_model-00002-of-00003.bin is missing"):
        load(folder)


@pytest.mark.parametrize(
    "content", ['{"metadata": {}}', "[]", "{", '{"weight_map": {}}', '{"weight_map": {"a": "../b"}}']
)
def test_an_index_that_lists_nothing_is_refused(content, plain, tmp_path):
    folder = layouts.sharded(plain, tmp_path / "weights")
    (folder / "prior/diffusion_pytorch_model.safetensors.index.json").write_text(content)
    with pytest.raises(WeightsError, match=r"index.json: no index of shards: it needs a 'weight_map'"):
        load(folder)


def test_without_weights_the_files_that_are_there_are_named(plain, tmp_path):
    folder = shutil.copytree(plain, tmp_path / "weights")
    path = folder / "prior/diffusion_pytorch_model.safetensors"
    path.rename(path.with_name("flax_model.msgpack"))
    with pytest.raises(WeightsError, match=r"/prior: no weights; it has config.json, flax_model.msgpack"):
        load(folder)


def test_a_link_to_a_blob_that_is_gone_is_named(plain, tmp_path):
    snapshot = layouts.hub_cache(plain, tmp_path / "cache", "openai/shap-e")
    link = snapshot / "prior/diffusion_pytorch_model.safetensors"
    link.resolve().unlink()
    with pytest.raises(WeightsError, match=rf"{re.escape(str(link))}: links to .*blobs/.*, which is gone"):
        load(snapshot)


def test_a_snapshot_of_links_is_a_folder(plain, expected, tmp_path):
    snapshot = layouts.hub_cache(layouts.as_published(plain, tmp_path / "w"), tmp_path / "cache", "openai/shap-e")
    require_same(tensors(load(snapshot)), expected)


def test_a_folder_that_can_only_be_read_is_as_good(plain, expected, tmp_path):
    folder = layouts.only_bin(plain, tmp_path / "weights")
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    require_same(tensors(load(folder)), expected)
    for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        path.chmod(0o755)


def test_a_pickle_that_would_run_code_is_refused_and_not_run(plain, tmp_path):
    folder = layouts.only_bin(plain, tmp_path / "weights")
    mark = tmp_path / "mark"

    class Bomb:
        def __reduce__(self):
            return type(mark).write_text, (mark, "unpickled")

    torch.save({"a": Bomb()}, folder / "prior/diffusion_pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"holds more than tensors"):
        load(folder).prior()
    assert not mark.exists()


@pytest.mark.parametrize("spoil", [lambda data: data[:-600], lambda data: b"", lambda data: b"PK\x03\x04"])
def test_a_cut_bin_is_refused(spoil, plain, tmp_path):
    folder = layouts.only_bin(plain, tmp_path / "weights")
    path = folder / "prior/diffusion_pytorch_model.bin"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(WeightsError, match=r"diffusion_pytorch_model.bin: truncated, or not of torch.save"):
        load(folder).prior()


@pytest.mark.parametrize("name", ["diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"])
def test_a_pointer_of_git_lfs_says_what_to_run(name, plain, tmp_path):
    folder = shutil.copytree(plain, tmp_path / "weights")
    (folder / "prior/diffusion_pytorch_model.safetensors").unlink()
    (folder / "prior" / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(WeightsError, match=rf"{name}: a Git LFS pointer .*git lfs pull"):
        load(folder).prior()


def test_a_bin_of_a_whole_training_is_refused(plain, tmp_path):
    folder = layouts.only_bin(plain, tmp_path / "weights")
    torch.save({"optimizer": {}, "epoch": 3}, folder / "prior/diffusion_pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"not a state_dict"):
        load(folder).prior()


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["image_encoder/config.json", "prior/config.json", "model_index.json"], "this is the image model; give it to"),
        (["image_cond.pt", "transmitter.pt"], "this is the image model; give it to family shap-e-image"),
        (["base_40m_textvec.pt", "upsample_40m.pt"], "these are Point-E's"),
        (["transmitter.pt"], "text_cond.pt is missing beside OpenAI's other files; there is transmitter.pt"),
    ],
)
def test_another_model_is_refused_by_what_it_is(names, told, tmp_path):
    with pytest.raises(WeightsError, match=re.escape(told)):
        load(touch(tmp_path, *names))


def test_the_old_renderer_is_refused_by_what_it_is(plain, tmp_path):
    folder = layouts.as_published(plain, tmp_path / "weights")
    shutil.rmtree(folder / "shap_e_renderer")
    with pytest.raises(WeightsError, match=r"its renderer/ is the old one.*download shap_e_renderer/"):
        load(folder)
