"""Shap-E's weights in every layout that people have, under the names that were published: each writer takes a folder
with the parts as safetensors and writes the same weights anew."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file, save_file

from exporter.families.shap_e.image.image_model import ShapEImage
from exporter.families.shap_e.model import ShapE

Tensors = dict[str, torch.Tensor]
STEMS = {"text_encoder": "model", "prior": "diffusion_pytorch_model", "shap_e_renderer": "diffusion_pytorch_model"}
SAVED_STEMS = STEMS | {"text_encoder": "pytorch_model"}
COMMIT = "1e72ed44" + "0" * 32
SHARDS = 3
IMAGE_STEMS = STEMS | {"image_encoder": "model"}
SAVED_IMAGE_STEMS = {"image_encoder": "pytorch_model", "prior": STEMS["prior"], "shap_e_renderer": STEMS["prior"]}


def tensors_of(plain: Path, part: str) -> Tensors:
    """The tensors of a part of the folder that everything is written from."""
    return load_file(plain / part / f"{IMAGE_STEMS[part]}.safetensors")


def as_published(plain: Path, to: Path) -> Path:
    """openai/shap-e's main branch: full precision as .bin only, half precision as a variant, of the renderer a .bin
    alone beside an old one, and a tokenizer of two files."""
    only_bin(plain, to)
    for part in ("prior", "text_encoder"):
        _save_half(tensors_of(plain, part), to / part / f"{STEMS[part]}.fp16.safetensors")
    old = {k: v for k, v in tensors_of(plain, "shap_e_renderer").items() if not k.startswith(("mesh_decoder", "void"))}
    (to / "renderer").mkdir()
    (to / "renderer/config.json").write_text("{}")
    torch.save(old, to / "renderer/diffusion_pytorch_model.bin")
    _save_half(old, to / "renderer/diffusion_pytorch_model.fp16.safetensors")
    _two_files(to / "tokenizer")
    (to / "model_index.json").write_text(json.dumps({"_class_name": "ShapEPipeline"}))
    return to


def only_bin(plain: Path, to: Path) -> Path:
    """Every part as torch.save writes it; the text encoder with the buffer that old transformers saved too."""
    _without_tensors(plain, to)
    for part, stem in SAVED_STEMS.items():
        tensors = tensors_of(plain, part)
        if part == "text_encoder":
            tensors["text_model.embeddings.position_ids"] = torch.arange(77)[None]
        torch.save(tensors, to / part / f"{stem}.bin")
    return to


def only_pt(plain: Path, to: Path) -> Path:
    """The same under the name that some conversions give it, and in the format before PyTorch 1.6."""
    _without_tensors(plain, to)
    for part, stem in SAVED_STEMS.items():
        torch.save(tensors_of(plain, part), to / part / f"{stem}.pt", _use_new_zipfile_serialization=False)
    return to


def sharded(plain: Path, to: Path) -> Path:
    """Safetensors in shards, with their index."""
    return _in_shards(plain, to, STEMS, ".safetensors", save_file)


def sharded_bin(plain: Path, to: Path) -> Path:
    """Files of torch.save in shards, with their index."""
    return _in_shards(plain, to, SAVED_STEMS, ".bin", torch.save)


def only_half(plain: Path, to: Path) -> Path:
    """Half precision alone, as a variant."""
    _without_tensors(plain, to)
    for part, stem in STEMS.items():
        _save_half(tensors_of(plain, part), to / part / f"{stem}.fp16.safetensors")
    return to


def sharded_half(plain: Path, to: Path) -> Path:
    """Half precision alone, in shards."""
    return _in_shards(plain, to, STEMS, ".safetensors", _save_half, "fp16")


def half_under_plain_names(plain: Path, to: Path) -> Path:
    """Half precision under the plain names, as `save_pretrained` of a model in half writes it."""
    _without_tensors(plain, to)
    for part, stem in STEMS.items():
        _save_half(tensors_of(plain, part), to / part / f"{stem}.safetensors")
    return to


def hub_cache(folder: Path, cache: Path, name: str, revision: str = "main") -> Path:
    """A folder as huggingface_hub keeps it: blobs, and a snapshot of links to them. Gives the snapshot."""
    root = cache / f"models--{name.replace('/', '--')}"
    snapshot, reference = root / "snapshots" / COMMIT, root / "refs" / revision
    (root / "blobs").mkdir(parents=True)
    reference.parent.mkdir(parents=True)
    reference.write_text(COMMIT)
    for number, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        link = snapshot / path.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        blob = root / "blobs" / f"{number:064x}"
        shutil.copyfile(path, blob)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return snapshot


def openai_files(plain: Path, to: Path, decoder: str = "vector_decoder.pt", with_yaml: bool = True) -> Path:
    """OpenAI's own files, and CLIP's folder beside them. Without its YAML a prior has 16 heads."""
    to.mkdir()
    prior, config = tensors_of(plain, "prior"), json.loads((plain / "prior/config.json").read_text())
    torch.save(openai_prior(prior, config["num_attention_heads"]), to / "text_cond.pt")
    torch.save(openai_decoder(tensors_of(plain, "shap_e_renderer"), decoder == "transmitter.pt"), to / decoder)
    if with_yaml:
        inner = {"name": "CLIPImagePointDiffusionTransformer", "heads": config["num_attention_heads"]}
        (to / "text_cond_config.yaml").write_text(yaml.safe_dump({"name": "SplitVectorDiffusion", "inner": inner}))
    clip_folder(plain, to / "clip-vit-large-patch14")
    return to


def openai_image_files(plain: Path, to: Path, decoder: str = "vector_decoder.pt") -> Path:
    """The same of a folder in the layout of openai/shap-e-img2img."""
    to.mkdir()
    heads = json.loads((plain / "prior/config.json").read_text())["num_attention_heads"]
    torch.save(openai_prior(tensors_of(plain, "prior"), heads), to / "image_cond.pt")
    torch.save(openai_decoder(tensors_of(plain, "shap_e_renderer"), decoder == "transmitter.pt"), to / decoder)
    inner = {"name": "CLIPImageGridPointDiffusionTransformer", "heads": heads}
    (to / "image_cond_config.yaml").write_text(yaml.safe_dump({"name": "SplitVectorDiffusion", "inner": inner}))
    clip = to / "clip-vit-large-patch14"
    shutil.copytree(plain / "image_processor", clip)
    vision = json.loads((plain / "image_encoder/config.json").read_text())
    (clip / "config.json").write_text(json.dumps({"model_type": "clip", "text_config": {}, "vision_config": vision}))
    text = {"text_model.final_layer_norm.bias": torch.zeros(4), "text_projection.weight": torch.zeros(4, 4)}
    position_ids = {"vision_model.embeddings.position_ids": torch.arange(4)[None]}
    tower = tensors_of(plain, "image_encoder") | position_ids | text
    torch.save(tower | {"logit_scale": torch.ones(())}, clip / "pytorch_model.bin")
    return to


def clip_folder(plain: Path, to: Path) -> Path:
    """openai/clip-vit-large-patch14: one model with both towers, its tokenizer beside it."""
    shutil.copytree(plain / "tokenizer", to)
    text = json.loads((plain / "text_encoder/config.json").read_text())
    config = {"model_type": "clip", "projection_dim": text["projection_dim"], "text_config": text, "vision_config": {}}
    (to / "config.json").write_text(json.dumps(config))
    picture = {"vision_model.post_layernorm.bias": torch.zeros(4), "visual_projection.weight": torch.zeros(4, 4)}
    save_file(tensors_of(plain, "text_encoder") | picture | {"logit_scale": torch.ones(())}, to / "model.safetensors")
    return to


def openai_prior(prior: Tensors, heads: int) -> Tensors:
    """PriorTransformer's tensors as openai/shap-e names and joins them."""
    names = {
        "time_embedding.linear_1": "time_embed.c_fc",
        "time_embedding.linear_2": "time_embed.c_proj",
        "proj_in": "input_proj",
        "norm_in": "ln_pre",
        "norm_out": "ln_post",
        "proj_to_clip_embeddings": "output_proj",
        "embedding_proj": "clip_embed",
    }
    if "embedding_proj_norm.weight" in prior:
        names |= {"embedding_proj_norm": "clip_embed.0", "embedding_proj": "clip_embed.1"}
    found = {"wrapped.pos_emb": prior["positional_embedding"][0].contiguous()}
    for kind in ("weight", "bias"):
        found |= {f"wrapped.{new}.{kind}": prior[f"{old}.{kind}"] for old, new in names.items()}
        layer = 0
        while (block := f"transformer_blocks.{layer}") and f"{block}.norm1.weight" in prior:
            to = f"wrapped.backbone.resblocks.{layer}"
            own = [prior[f"{block}.attn1.{part}.{kind}"] for part in ("to_q", "to_k", "to_v")]
            of_heads = [tensor.unflatten(0, (heads, -1)) for tensor in own]
            found[f"{to}.attn.c_qkv.{kind}"] = torch.cat(of_heads, dim=1).flatten(0, 1).contiguous()
            found[f"{to}.attn.c_proj.{kind}"] = prior[f"{block}.attn1.to_out.0.{kind}"]
            found[f"{to}.mlp.c_fc.{kind}"] = prior[f"{block}.ff.net.0.proj.{kind}"]
            found[f"{to}.mlp.c_proj.{kind}"] = prior[f"{block}.ff.net.2.{kind}"]
            found[f"{to}.ln_1.{kind}"] = prior[f"{block}.norm1.{kind}"]
            found[f"{to}.ln_2.{kind}"] = prior[f"{block}.norm3.{kind}"]
            layer += 1
    return found


def openai_decoder(renderer: Tensors, in_transmitter: bool) -> Tensors:
    """ShapERenderer's tensors as openai/shap-e names them, in a transmitter beside an encoder."""
    found = {}
    for name, tensor in renderer.items():
        if name.startswith("params_proj."):
            found[f"encoder.{name}" if in_transmitter else name] = tensor
        elif name.startswith("mlp."):
            found[f"renderer.nerstf.{name.removeprefix('mlp.')}"] = tensor
    found["renderer.void.background"] = torch.zeros(3)
    return found | ({"encoder.output_tokens": torch.zeros(2, 2)} if in_transmitter else {})


def _without_tensors(plain: Path, to: Path) -> None:
    shutil.copytree(plain, to, ignore=shutil.ignore_patterns("*.safetensors"))


def _in_shards(
    plain: Path,
    to: Path,
    stems: dict[str, str],
    suffix: str,
    save: Callable[[Tensors, Path], object],
    variant: str = "",
) -> Path:
    _without_tensors(plain, to)
    dotted = f".{variant}" if variant else ""
    for part, stem in stems.items():
        tensors = tensors_of(plain, part)
        names = [f"{stem}{dotted}-{k + 1:05}-of-{SHARDS:05}{suffix}" for k in range(SHARDS)]
        weight_map = {name: names[k % SHARDS] for k, name in enumerate(sorted(tensors))}
        for file in names:
            save({name: tensors[name] for name, own in weight_map.items() if own == file}, to / part / file)
        index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
        (to / part / f"{stem}{suffix}.index{dotted}.json").write_text(json.dumps(index))
    return to


def _save_half(tensors: Tensors, to: Path) -> None:
    save_file({k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}, to)


def _two_files(tokenizer: Path) -> None:
    model = json.loads((tokenizer / "tokenizer.json").read_text())["model"]
    (tokenizer / "tokenizer.json").unlink()
    (tokenizer / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    (tokenizer / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")


def write_hub_layout(model: ShapE, to: Path) -> Path:
    """A model at hand as a folder with its parts as safetensors."""
    model.text_encoder().save_pretrained(to / "text_encoder")
    model.prior().save_pretrained(to / "prior")
    model.renderer().save_pretrained(to / "shap_e_renderer")
    model.scheduler("denoiser").save_pretrained(to / "scheduler")
    model.tokenizer().save_pretrained(to / "tokenizer")
    return to


def write_image_hub_layout(model: ShapEImage, to: Path) -> Path:
    """The same of a model that takes pictures, its tower under the names that are published."""
    tower, folder = model.image_encoder(), to / "image_encoder"
    tower.config.save_pretrained(folder)
    published = {f"vision_model.{name}": tensor.contiguous() for name, tensor in tower.state_dict().items()}
    save_file(published, folder / "model.safetensors", metadata={"format": "pt"})
    model.processor().save_pretrained(to / "image_processor")
    model.prior().save_pretrained(to / "prior")
    model.renderer().save_pretrained(to / "shap_e_renderer")
    model.scheduler("denoiser").save_pretrained(to / "scheduler")
    return to


def image_as_published(plain: Path, to: Path) -> Path:
    """openai/shap-e-img2img's main branch: full precision as .bin only."""
    _without_tensors(plain, to)
    for part, stem in SAVED_IMAGE_STEMS.items():
        torch.save(tensors_of(plain, part), to / part / f"{stem}.bin")
    (to / "model_index.json").write_text(json.dumps({"_class_name": "ShapEImg2ImgPipeline"}))
    return to
