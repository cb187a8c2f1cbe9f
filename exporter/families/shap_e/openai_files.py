"""Shap-E as OpenAI published it: text_cond.pt or image_cond.pt, transmitter.pt or vector_decoder.pt, and CLIP from its
own folder.

The names of the tensors are those of openai/shap-e; here they become the names of diffusers' PriorTransformer and
ShapERenderer, which compute the same.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import yaml

from exporter.errors import WeightsError
from exporter.families.checkpoint import Checkpoint, Renamed, SavedFile, Taken
from exporter.families.clip_files import CLIP, CLIP_ON_THE_HUB, TEXT_HALF, VISION_TOWER, half_of
from exporter.families.part_files import ModelFiles, Needed, PartFiles, WeightsFile, take
from exporter.families.repository import FolderRepository, Repository, open_repository
from exporter.families.shap_e.mesh_tables import mesh_tables
from exporter.families.shap_e.random_weights import SHAP_E_300M
from exporter.families.tensor_files import TensorFiles

PRIORS = {"text": "text_cond.pt", "image": "image_cond.pt"}
HEADS = {"text": 16, "image": 8}
"""Of the published priors, where no configuration lies beside them."""
DECODERS = {"transmitter": "transmitter.pt", "decoder": "vector_decoder.pt"}
"""By what `model.decoder` calls them; the first is taken where both are there and the recipe does not say."""
SHA256 = {
    "text_cond.pt": "e6b4fa599a7b3c3b16c222d5f5fe56f9db9289ff0b6575fbe5c11bc97106aad4",
    "image_cond.pt": "cb8072c64bbbcf6910488814d212227de5db291780d4ea99c6152f9346cf12aa",
    "transmitter.pt": "af02a0b85a8abdfb3919584b63c540ba175f6ad4790f574a7fef4617e5acdc3b",
    "vector_decoder.pt": "d7e7ebbfe3780499ae89b2da5e7c1354012dba5a6abfe295bed42f25c3be1b98",
}
"""Of the published files, as shap_e/models/download.py has them."""
VIEW_CHANNELS = 51  # of a direction's encoding: 3 + 2 * 3 * 8
_CLIP_CONFIG = Needed(files=(("config.json",),))
_PREPROCESSOR = Needed(files=(("preprocessor_config.json",),), tensors=False)
_PRIOR_NAMES = {
    "pos_emb": "positional_embedding",
    "time_embed.c_fc": "time_embedding.linear_1",
    "time_embed.c_proj": "time_embedding.linear_2",
    "input_proj": "proj_in",
    "ln_pre": "norm_in",
    "ln_post": "norm_out",
    "output_proj": "proj_to_clip_embeddings",
    "clip_embed": "embedding_proj",
    "clip_embed.0": "embedding_proj_norm",
    "clip_embed.1": "embedding_proj",
    "attn.c_proj": "attn1.to_out.0",
    "mlp.c_fc": "ff.net.0.proj",
    "mlp.c_proj": "ff.net.2",
    "ln_1": "norm1",
    "ln_2": "norm3",
}
_BLOCK = re.compile(r"^wrapped\.backbone\.resblocks\.(\d+)\.(.+)\.(weight|bias)$")
_QUERY_KEY_VALUE = ("to_q", "to_k", "to_v")


@dataclass(frozen=True)
class OpenAIModel:
    """Files, configurations and tensors of the parts, under diffusers' and transformers' names."""

    source: str
    parts: Mapping[str, PartFiles]
    configs: dict[str, dict[str, Any]]
    checkpoints: Mapping[str, Checkpoint]

    @cached_property
    def files(self) -> ModelFiles:
        """All that is read; what is said of it, whether these are the published files."""
        files = ModelFiles(self.source, self.parts)
        return ModelFiles(self.source, self.parts, (_told(files.files),), listed=files.files)

    def with_clip(
        self,
        parts: Mapping[str, PartFiles],
        configs: dict[str, dict[str, Any]],
        checkpoints: Mapping[str, Checkpoint],
    ) -> OpenAIModel:
        """With the half of CLIP that makes the prior's condition."""
        return OpenAIModel(
            self.source, {**parts, **self.parts}, configs | self.configs, {**checkpoints, **self.checkpoints}
        )


def is_openai(names: Collection[str]) -> bool:
    """Whether files of these names are OpenAI's own."""
    return any(name in SHA256 for name in names)


def open_openai_text(
    repository: Repository, tokenizer: Needed, decoder: str | None = None, clip: str | None = None
) -> OpenAIModel:
    """The text model of these files. `decoder`: 'transmitter' or 'decoder'; `clip`: a folder or hub name of CLIP
    ViT-L/14, none for the folder clip-vit-large-patch14 beside them or that model on the hub.

    Raises WeightsError for a file that is missing or of another model.
    """
    latent = _open_latent_model(repository, "text", decoder)
    tower = _open_clip(repository, clip)
    text = take(tower, "text_encoder", _CLIP_CONFIG, folder="")
    files = {"text_encoder": text, "tokenizer": take(tower, "tokenizer", tokenizer, folder="")}
    return latent.with_clip(
        files,
        {"text_encoder": _text_config(text.json("config.json"))},
        {"text_encoder": half_of(text.checkpoint(), TEXT_HALF)},
    )


def open_openai_image(repository: Repository, decoder: str | None = None, clip: str | None = None) -> OpenAIModel:
    """The image model of these files, as of `open_openai_text`."""
    latent = _open_latent_model(repository, "image", decoder)
    tower = _open_clip(repository, clip)
    pictures = take(tower, "image_encoder", _CLIP_CONFIG, folder="")
    processor = take(tower, "image_processor", _PREPROCESSOR, folder="")
    config = pictures.json("config.json")
    return latent.with_clip(
        {"image_encoder": pictures, "image_processor": processor},
        {
            "image_encoder": config.get("vision_config") or config,
            "image_processor": processor.json("preprocessor_config.json"),
        },
        {"image_encoder": half_of(pictures.checkpoint(), VISION_TOWER)},
    )


def _open_latent_model(repository: Repository, kind: str, decoder: str | None) -> OpenAIModel:
    prior_file, decoder_file = _require(repository, PRIORS[kind], kind), _decoder_file(repository, decoder, kind)
    prior, field = SavedFile(repository.fetch(prior_file)), SavedFile(repository.fetch(decoder_file))
    beside = prior_file.replace(".pt", "_config.yaml")
    settings = _yaml(repository, beside).get("inner", {})
    _require_prior(kind, settings, prior)
    heads = settings.get("heads", HEADS[kind])
    return OpenAIModel(
        repository.source,
        {
            "prior": _part("prior", repository, prior_file, beside),
            "shap_e_renderer": _part("shap_e_renderer", repository, decoder_file),
        },
        {
            "prior": _prior_config(prior, kind, heads),
            "scheduler": SHAP_E_300M["scheduler"],
            "shap_e_renderer": _renderer_config(field),
        },
        {"prior": _as_prior(prior, heads), "shap_e_renderer": _as_renderer(field)},
    )


def what_it_is(names: Collection[str], kind: str = "text") -> str:
    """Of the names of files, what they are where they are not a Shap-E of this kind, 'text' or 'image'; empty if that
    is not known."""
    folders = {name.partition("/")[0] for name in names if "/" in name}
    if kind == "text" and (PRIORS["image"] in names or ("image_encoder" in folders and "text_encoder" not in folders)):
        return "this is the image model; give it to family shap-e-image"
    if kind == "image" and (PRIORS["text"] in names or ("text_encoder" in folders and "image_encoder" not in folders)):
        return "this is the model that takes texts; give it to family shap-e"
    if any(name in names for name in ("upsample_40m.pt", "base_40m_textvec.pt", "base_40m.pt", "base_300m.pt")):
        return "these are Point-E's weights, another model"
    if any(name in names for name in ("base_1b.pt", "base_40m_imagevec.pt", "base_40m_uncond.pt", "sdf.pt")):
        return "these are Point-E's weights, another model"
    if "renderer" in folders and "shap_e_renderer" not in folders:
        return (
            "its renderer/ is the old one, which has no background and no tables for meshes; download shap_e_renderer/ "
            "too, from the main branch"
        )
    return ""


def _require(repository: Repository, name: str, kind: str) -> str:
    if name in repository.names:
        return name
    if instead := what_it_is(repository.names, kind):
        raise WeightsError(f"weights '{repository.source}': {instead}; there is {repository.shown()}")
    raise WeightsError(
        f"weights '{repository.source}': {name} is missing beside OpenAI's other files; there is {repository.shown()}"
    )


def _decoder_file(repository: Repository, decoder: str | None, kind: str) -> str:
    if decoder:
        return _require(repository, DECODERS[decoder], kind)
    for name in DECODERS.values():
        if name in repository.names:
            return name
    raise WeightsError(
        f"weights '{repository.source}': the decoder of the latents is missing, {' or '.join(DECODERS.values())}; "
        f"there is {repository.shown()}"
    )


def _open_clip(repository: Repository, clip: str | None) -> Repository:
    if clip is None and any(name.startswith(f"{CLIP}/") for name in repository.names):
        return FolderRepository(repository.root / CLIP)
    return open_repository(clip or CLIP_ON_THE_HUB)


def _part(part: str, repository: Repository, name: str, *beside: str) -> PartFiles:
    names = (name, *(other for other in beside if other in repository.names))
    paths = [repository.fetch(one) for one in names]
    return PartFiles(part, paths[0].parent, names, TensorFiles((name,)))


def _yaml(repository: Repository, name: str) -> dict[str, Any]:
    """One of OpenAI's configurations, empty where there is none."""
    if name not in repository.names:
        return {}
    path = repository.fetch(name)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: not valid YAML ({error}); download it again, or leave it out") from None
    if not isinstance(content, dict) or not isinstance(content.get("inner", {}), dict):
        raise WeightsError(f"{path}: not a configuration of openai/shap-e; download it again, or leave it out")
    return content


def _require_prior(kind: str, settings: dict[str, Any], prior: SavedFile) -> None:
    lacking = [name for name in ("wrapped.pos_emb", "wrapped.input_proj.weight") if name not in prior.shapes]
    if lacking:
        raise WeightsError(
            f"{prior.place}: has no {' and no '.join(lacking)}: not the network that openai/shap-e saves as "
            f"{PRIORS[kind]}"
        )
    of_text = "wrapped.clip_embed.weight" in prior.shapes and "Grid" not in str(settings.get("name"))
    if kind == "text" and not of_text:
        raise WeightsError(
            f"{prior.place}: takes no text embedding: this is the image model; give it to family shap-e-image"
        )
    if kind == "image" and "wrapped.clip_embed.1.weight" not in prior.shapes:
        raise WeightsError(
            f"{prior.place}: takes no picture's tokens: this is the text model; give it to family shap-e"
        )


def _prior_config(prior: SavedFile, kind: str, heads: int) -> dict[str, Any]:
    tokens, width = prior.shapes["wrapped.pos_emb"]
    channels = prior.shapes["wrapped.input_proj.weight"][1]
    layers = {match[1] for name in prior.shapes if (match := _BLOCK.match(name))}
    condition = "wrapped.clip_embed.weight" if kind == "text" else "wrapped.clip_embed.1.weight"
    return SHAP_E_300M["prior"] | {
        "num_attention_heads": heads,
        "attention_head_dim": width // heads,
        "num_layers": len(layers),
        "embedding_dim": channels,
        "num_embeddings": tokens,
        "time_embed_dim": prior.shapes.get("wrapped.time_embed.c_fc.bias", (4 * width,))[0],
        "embedding_proj_dim": prior.shapes[condition][1],
        "embedding_proj_norm_type": None if kind == "text" else "layer",
        "clip_embed_dim": prior.shapes.get("wrapped.output_proj.bias", (2 * channels,))[0],
    }


def _as_prior(prior: SavedFile, heads: int) -> Checkpoint:
    """PriorTransformer's tensors. The three of attention lie together in the file, head by head."""
    taken: dict[str, Taken] = {}
    for name, shape in prior.shapes.items():
        block = _BLOCK.match(name)
        if block and block[2] == "attn.c_qkv":
            for k, part in enumerate(_QUERY_KEY_VALUE):
                new = f"transformer_blocks.{block[1]}.attn1.{part}.{block[3]}"
                taken[new] = Taken(name, (shape[0] // 3, *shape[1:]), _one_of_three(heads, k))
        elif name == "wrapped.pos_emb":
            taken["positional_embedding"] = Taken(name, (1, *shape), lambda tensor: tensor[None])
        else:
            taken[_prior_name(name, block)] = Taken(name, shape)
    width = prior.shapes.get("wrapped.output_proj.bias", (0,))[0]
    # diffusers normalises an embedding by these; Shap-E has none, and its checkpoint on the hub zeros.
    added = {"clip_mean": torch.zeros(1, width), "clip_std": torch.zeros(1, width)}
    return Renamed(prior, taken, added)


def _prior_name(name: str, block: re.Match[str] | None) -> str:
    """A name that is not known stays, so that it is reported."""
    if block:
        return f"transformer_blocks.{block[1]}.{_PRIOR_NAMES.get(block[2], block[2])}.{block[3]}"
    module, _, kind = name.removeprefix("wrapped.").rpartition(".")
    return f"{_PRIOR_NAMES[module]}.{kind}" if module in _PRIOR_NAMES else name


def _one_of_three(heads: int, k: int) -> Any:
    def change(tensor: torch.Tensor) -> torch.Tensor:
        rows = tensor.shape[0] // 3
        return tensor.reshape(heads, 3, rows // heads, *tensor.shape[1:])[:, k].reshape(rows, *tensor.shape[1:])

    return change


def _renderer_config(field: SavedFile) -> dict[str, Any]:
    layers = sorted(
        int(match[1]) for name in field.shapes if (match := re.match(r"^renderer\.nerstf\.mlp\.(\d+)\.weight$", name))
    )
    projected = sorted(
        match[1]
        for name in field.shapes
        if (match := re.match(r"^(?:encoder\.)?params_proj\.projections\.(\w+)\.proj\.weight$", name))
    )
    if len(layers) < 2 or not projected:
        raise WeightsError(
            f"{field.place}: has no renderer.nerstf.mlp or no params_proj: not a decoder of openai/shap-e's latents"
        )
    weights = [field.shapes[f"renderer.nerstf.mlp.{layer}.weight"] for layer in layers]
    hidden = weights[0][0]
    shapes, latent = [], 0
    for name in projected:
        own = _projection(field, name)
        channels = field.shapes[f"{own}.norm.weight"][0]
        rows, latent = field.shapes[f"{own}.proj.weight"]
        shapes.append([rows // channels, channels])
    return {
        "param_names": [name.replace("__", ".") for name in projected],
        "param_shapes": shapes,
        "d_latent": latent,
        "d_hidden": hidden,
        "n_output": weights[-1][0],
        "n_hidden_layers": len(layers) - 1,
        "act_fn": "swish",
        "insert_direction_at": next(i for i, shape in enumerate(weights) if shape[1] == hidden + VIEW_CHANNELS),
        "background": [0.0, 0.0, 0.0],
    }


def _projection(field: SavedFile, name: str) -> str:
    own = f"params_proj.projections.{name}"
    return own if f"{own}.proj.weight" in field.shapes else f"encoder.{own}"


def _as_renderer(field: SavedFile) -> Checkpoint:
    """ShapERenderer's tensors; the encoder of a transmitter is not read. The tables of marching cubes, which diffusers
    keeps among the weights, are in none of OpenAI's files."""
    taken = {}
    for name, shape in field.shapes.items():
        new = name.removeprefix("encoder.").replace("renderer.nerstf.", "mlp.").replace("renderer.void.", "void.")
        if name.startswith("renderer.") or new.startswith("params_proj."):
            taken[new] = Taken(name, shape)
    return Renamed(field, taken, dict(zip(("mesh_decoder.cases", "mesh_decoder.masks"), mesh_tables(), strict=True)))


def _text_config(config: dict[str, Any]) -> dict[str, Any]:
    """The text half of a CLIP's configuration, or the whole where it is a text encoder alone."""
    text = config.get("text_config") or config
    width = config.get("projection_dim") or text.get("projection_dim")
    return {**text, "projection_dim": width}


def _told(files: Sequence[WeightsFile]) -> str:
    published = [file for file in files if file.name in SHA256]
    same = [file.name for file in published if file.sha256 == SHA256[file.name]]
    others = [file.name for file in published if file.name not in same]
    told = [f"{', '.join(same)}: as OpenAI published, by sha256"] if same else []
    return "; ".join([*told, *([f"{', '.join(others)}: not the published files, by sha256"] if others else [])])
