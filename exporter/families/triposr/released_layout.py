"""TripoSR as it is released: a folder with `config.yaml` and `model.ckpt`, or safetensors of the same names.

The checkpoint is read with `weights_only=True`: nothing in it is run. Names may stand behind a wrapper's prefix or
inside lightning's `state_dict`; those of the vision tower are transformers' of 2023, or today's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch.nn import functional as F

from exporter.errors import WeightsError
from exporter.families.checkpoint import Checkpoint, Renamed, Shape, Taken
from exporter.families.triposr.triplane_field import FieldSettings
from exporter.families.triposr.triplane_networks import ACTIVATIONS, VIT_B16

CONFIG, CHECKPOINT, SAFETENSORS = "config.yaml", "model.ckpt", "model.safetensors"
LEVEL = 25.0  # tsr/system.py, extract_mesh
VISION, POSITIONS = "image_tokenizer.model.", "image_tokenizer.model.embeddings.position_embeddings"
CLASSES = {
    "image_tokenizer": "tsr.models.tokenizers.image.DINOSingleImageTokenizer",
    "tokenizer": "tsr.models.tokenizers.triplane.Triplane1DTokenizer",
    "backbone": "tsr.models.transformer.transformer_1d.Transformer1D",
    "post_processor": "tsr.models.network_utils.TriplaneUpsampleNetwork",
    "decoder": "tsr.models.network_utils.NeRFMLP",
    "renderer": "tsr.models.nerf_renderer.TriplaneNeRFRenderer",
}
REQUIRED = object()
# By section, its fields with the values they have when they are left out; those of which only one value can be
# exported; and those that change nothing when the model runs.
FIELDS: dict[str, dict[str, Any]] = {
    "image_tokenizer": {"pretrained_model_name_or_path": "facebook/dino-vitb16", "vit": None},
    "tokenizer": {"plane_size": REQUIRED, "num_channels": REQUIRED},
    "backbone": {
        "in_channels": REQUIRED,
        "num_attention_heads": 16,
        "attention_head_dim": 88,
        "num_layers": 1,
        "cross_attention_dim": REQUIRED,
        "norm_num_groups": 32,
    },
    "post_processor": {"in_channels": REQUIRED, "out_channels": REQUIRED},
    "decoder": {"in_channels": REQUIRED, "n_neurons": REQUIRED, "n_hidden_layers": REQUIRED, "activation": "relu"},
    "renderer": {"radius": REQUIRED, "density_bias": -1.0, "num_samples_per_ray": 128},
}
FIXED: dict[str, dict[str, Any]] = {
    "backbone": {
        "attention_bias": False,
        "activation_fn": "geglu",
        "only_cross_attention": False,
        "double_self_attention": False,
        "upcast_attention": False,
        "norm_type": "layer_norm",
        "norm_elementwise_affine": True,
    },
    "decoder": {"bias": True},
    "renderer": {"feature_reduction": "concat", "density_activation": "exp", "color_activation": "sigmoid"},
}
LEFT_ALONE = {
    "image_tokenizer": {"enable_gradient_checkpointing"},
    "backbone": {"dropout", "gradient_checkpointing", "out_channels"},
    "decoder": {"weight_init", "bias_init"},
    "renderer": {"randomized"},
}
_MOVED = (
    (r"^encoder\.layer\.(\d+)\.attention\.attention\.(query|key|value)\.", r"layers.\1.attention.\2."),
    (r"^encoder\.layer\.(\d+)\.attention\.output\.dense\.", r"layers.\1.attention.o_proj."),
    (r"^encoder\.layer\.(\d+)\.intermediate\.dense\.", r"layers.\1.mlp.fc1."),
    (r"^encoder\.layer\.(\d+)\.output\.dense\.", r"layers.\1.mlp.fc2."),
    (r"^encoder\.layer\.(\d+)\.", r"layers.\1."),
    (r"\.attention\.(query|key|value)\.", lambda found: f".attention.{found[1][0]}_proj."),
)
_UNUSED = (f"{VISION}pooler.", "image_tokenizer.image_mean", "image_tokenizer.image_std")


@dataclass(frozen=True)
class ReleasedConfig:
    """config.yaml: the picture's edge in pixels, each part's own settings, and the field's."""

    image_size: int
    parts: dict[str, dict[str, Any]]
    field: FieldSettings
    samples_per_ray: int

    @property
    def tokens(self) -> int:
        """How many tokens the vision tower makes of a picture."""
        return 1 + (self.image_size // int(self.parts["image_tokenizer"]["vit"]["patch_size"])) ** 2

    @property
    def token_width(self) -> int:
        return int(self.parts["image_tokenizer"]["vit"]["hidden_size"])

    @property
    def planes(self) -> tuple[int, int, int, int]:
        """[3, features, edge, edge]."""
        edge = 2 * self.parts["tokenizer"]["plane_size"]
        return 3, self.parts["post_processor"]["out_channels"], edge, edge


def read_config(path: Path) -> ReleasedConfig:
    """A config.yaml. Raises WeightsError for one that is damaged or of another model."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: not valid YAML ({error}); download the folder again") from None
    if not isinstance(data, dict):
        raise WeightsError(f"{path}: fields with values are expected; download the folder again")
    return parse_config(data, str(path))


def parse_config(data: Mapping[str, Any], place: str) -> ReleasedConfig:
    """Settings as data, from `place`. Raises WeightsError that names the field that this family cannot run."""
    parts = {name: _section(data, name, place) for name in CLASSES}
    field = parts.pop("renderer")
    parts["image_tokenizer"] = _vision(parts["image_tokenizer"], data.get("cond_image_size"), place)
    if parts["decoder"]["activation"] not in ACTIVATIONS:
        raise WeightsError(
            f"{place}: decoder.activation is {parts['decoder']['activation']!r}, known are {', '.join(ACTIVATIONS)}"
        )
    for name, of in (
        ("backbone.in_channels", "tokenizer.num_channels"),
        ("post_processor.in_channels", "tokenizer.num_channels"),
    ):
        one, other = (parts[part][key] for part, key in (name.split("."), of.split(".")))
        if one != other:
            raise WeightsError(f"{place}: {name} is {one} and {of} is {other}; these parts do not fit together")
    settings = FieldSettings(float(field["radius"]), float(field["density_bias"]), LEVEL)
    return ReleasedConfig(parts["image_tokenizer"]["image_size"], parts, settings, int(field["num_samples_per_ray"]))


def part_of(checkpoint: Checkpoint, part: str, tokens: int) -> Checkpoint:
    """The tensors of one part by today's names, without the wrappers around them and what is not used of them; the
    position embedding for pictures of so many tokens.

    Raises WeightsError where no tensor is called as TripoSR's own tokens are.
    """
    last = "tokenizer.embeddings"
    prefix = next((n.removesuffix(last) for n in checkpoint.shapes if n == last or n.endswith(f".{last}")), None)
    if prefix is None:
        some = ", ".join(sorted(checkpoint.shapes)[:3])
        raise WeightsError(f"{checkpoint.place}: has no tensor '{last}', as TripoSR's weights have (it has {some})")
    taken = {}
    for name, shape in checkpoint.shapes.items():
        own = name.removeprefix(prefix)
        if name.startswith(f"{prefix}{part}.") and not own.startswith(_UNUSED):
            todays = todays_name(own)
            known = shape[1] if todays == POSITIONS and len(shape) == 3 else tokens
            taken[todays.removeprefix(f"{part}.")] = (
                Taken(name, shape) if known == tokens else _frozen(name, shape, tokens)
            )
    return Renamed(checkpoint, taken)


def _frozen(name: str, shape: Shape, tokens: int) -> Taken:
    return Taken(name, (shape[0], tokens, shape[2]), lambda embedding: frozen_positions(embedding, tokens))


def todays_name(name: str) -> str:
    """A released tensor's name with its vision tower's part as transformers has it today."""
    if not name.startswith(VISION):
        return name
    inner = name.removeprefix(VISION)
    for pattern, replacement in _MOVED:
        inner = re.sub(pattern, replacement, inner)
    return VISION + inner


def frozen_positions(embedding: torch.Tensor, tokens: int) -> torch.Tensor:
    """A vision tower's position embedding [1, 1 + n², C] for pictures of `tokens` patches and one more.

    Bicubic with transformers 4.35's scale, which the released weights were trained with: a tenth of a patch is added to
    the new edge, while the picture keeps its whole number of patches.
    """
    if embedding.shape[1] == tokens:
        return embedding
    old, new = (math.isqrt(count - 1) for count in (embedding.shape[1], tokens))
    grid = embedding[:, 1:].reshape(1, old, old, -1).permute(0, 3, 1, 2).float()
    resized = F.interpolate(grid, scale_factor=(new + 0.1) / old, mode="bicubic", align_corners=False)
    if resized.shape[-1] != new:
        raise WeightsError(f"a position embedding of {old} x {old} patches cannot be brought to {new} x {new}")
    return torch.cat([embedding[:, :1].float(), resized.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


def _section(data: Mapping[str, Any], name: str, place: str) -> dict[str, Any]:
    if (found := data.get(f"{name}_cls")) != CLASSES[name]:
        raise WeightsError(
            f"{place}: {name}_cls is {found!r}, TripoSR's is {CLASSES[name]!r}; this is another model, which this "
            "family does not run"
        )
    given = {key: _resolved(value, data, place) for key, value in (data.get(name) or {}).items()}
    taken, fixed = FIELDS[name], FIXED.get(name, {})
    for key, value in given.items():
        if key not in {*taken, *fixed, *LEFT_ALONE.get(name, ())}:
            raise WeightsError(f"{place}: {name}.{key} is a field that TripoSR's code does not have")
        if key in fixed and value != fixed[key]:
            raise WeightsError(f"{place}: {name}.{key} is {value!r}; only {fixed[key]!r} can be exported")
    section = {key: given.get(key, default) for key, default in taken.items()}
    if missing := [key for key, value in section.items() if value is REQUIRED]:
        raise WeightsError(f"{place}: {name}.{missing[0]} is missing")
    return section


def _resolved(value: Any, data: Mapping[str, Any], place: str) -> Any:
    """A value, or what `${section.field}` stands for."""
    reference = re.fullmatch(r"\$\{(\w+)\.(\w+)\}", value) if isinstance(value, str) else None
    if not reference:
        return value
    section, field = reference.groups()
    try:
        return data[section][field]
    except (KeyError, TypeError):
        raise WeightsError(f"{place}: {value} stands for a field that is not there") from None


def _vision(section: dict[str, Any], image_size: Any, place: str) -> dict[str, Any]:
    name, vit = section["pretrained_model_name_or_path"], section["vit"]
    if vit is None and name != "facebook/dino-vitb16":
        raise WeightsError(
            f"{place}: image_tokenizer.pretrained_model_name_or_path is {name!r}; known is facebook/dino-vitb16, the "
            "sizes of another vision tower have to stand in image_tokenizer.vit, as in its own config.json"
        )
    vit = VIT_B16 | (vit or {})
    if not isinstance(image_size, int) or image_size % vit["patch_size"]:
        raise WeightsError(f"{place}: cond_image_size is {image_size!r}, no multiple of {vit['patch_size']} pixels")
    return {"vit": vit, "image_size": image_size}
