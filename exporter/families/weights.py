"""Where weights come from, and whether they fit: zoo, folder or hub; digests; tensors checked one by one."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from exporter.errors import HubUnreachable, NoSuchWeights, WeightsError
from exporter.files.atomic import sha256_of

ZOO = Path(__file__).parent.parent / "zoo"
WAYS_ON = (
    "Ways on: give a local folder in the hub's layout, the small trained model 'shap-e-mini', "
    "or random weights 'random:shap-e-300m'."
)
_HUB_NAME = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
_SHOWN = 5


def find_parts(weights: str, zoo: Mapping[str, tuple[str, ...]], parts: tuple[str, ...]) -> dict[str, Path]:
    """The folder of each part of what `weights` names: a zoo model, a local folder, or a hub name 'org/name'
    (downloaded).

    `zoo`: the folders of each zoo model; a part is taken from the first that has it, so that a model with another
    prior shares the rest. Raises NoSuchWeights when there is none, HubUnreachable when the hub does not answer.
    """
    folders = [_existing(ZOO / name, weights, WAYS_ON) for name in zoo.get(weights, ())] or [find_folder(weights)]
    return {part: next((f / part for f in folders if (f / part).is_dir()), folders[-1] / part) for part in parts}


def digest_parts(folders: Mapping[str, Path]) -> str:
    """sha256 over the names and contents of the files that a model is loaded from."""
    digest = hashlib.sha256()
    for part, folder in folders.items():
        for path in sorted(p for p in folder.iterdir() if p.suffix in {".json", ".safetensors", ".txt"}):
            digest.update(f"{part}/{path.name}:{sha256_of(path)}\n".encode())
    return digest.hexdigest()


def require_files(folder: Path, *alternatives: tuple[str, ...]) -> None:
    """Raises WeightsError unless a component's folder has every file of one of these lists."""
    if any(all((folder / name).is_file() for name in names) for names in alternatives):
        return
    wanted = ", or ".join(" with ".join(names) for names in alternatives)
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:_SHOWN]) if folder.is_dir() else ""
    has = f"it has {there}" if there else "there is nothing"
    raise WeightsError(
        f"{folder}: {wanted}: missing ({has}); the folder must have the hub's diffusers layout. {WAYS_ON}"
    )


def read_json(path: Path) -> Any:
    """The JSON in a file of the model's folder. Raises WeightsError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(f"{path}: missing; the folder must have the hub's diffusers layout. {WAYS_ON}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: not valid JSON ({error}); download the folder again.") from None


def fill(module: nn.Module, folder: Path) -> None:
    """Copy the safetensors of a component's folder into a module, as float32, one tensor at a time.

    Raises WeightsError that names the first tensors that are missing, unexpected or of another shape, or one that is
    not finite.
    """
    files = _tensor_files(folder)
    found = {name: (file, shape) for file in files for name, shape in _shapes(file)}
    wanted = module.state_dict()
    require_shapes({name: tuple(t.shape) for name, t in wanted.items()}, {n: s for n, (_, s) in found.items()}, folder)
    for file in files:
        with safe_open(file, framework="pt") as tensors, torch.no_grad():
            for name in tensors.keys():  # noqa: SIM118 - safe_open is not a mapping
                if name in wanted:
                    wanted[name].copy_(tensors.get_tensor(name))
                    require_finite(wanted[name], name, file)


def fill_random(module: nn.Module, seed: int) -> None:
    """Seeded random weights of sensible scale: matrices by fan-in, unit norms, small biases and embeddings."""
    generator = torch.Generator().manual_seed(seed)
    norms = {
        f"{name}.weight" for name, child in module.named_modules() if isinstance(child, nn.LayerNorm | nn.GroupNorm)
    }
    small = {f"{name}.weight" for name, child in module.named_modules() if isinstance(child, nn.Embedding)}
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            if name in norms:
                parameter.fill_(1.0)
            elif name in small or parameter.dim() != 2:
                parameter.normal_(0.0, 0.02, generator=generator)
            else:
                parameter.normal_(0.0, parameter.shape[1] ** -0.5, generator=generator)


@contextmanager
def without_initialisation() -> Iterator[None]:
    """Build modules whose parameters are filled right after: skips the slow default initialisation of the layers."""
    layers: tuple[type[nn.Module], ...] = (nn.Linear, nn.Embedding, nn.LayerNorm)
    saved = [getattr(layer, "reset_parameters") for layer in layers]  # noqa: B009
    for layer in layers:
        setattr(layer, "reset_parameters", lambda self: None)  # noqa: B010
    try:
        yield
    finally:
        for layer, reset in zip(layers, saved, strict=True):
            setattr(layer, "reset_parameters", reset)  # noqa: B010


def find_folder(
    weights: str, files: Sequence[str] = ("*.json", "*.txt", "*.safetensors"), ways_on: str = WAYS_ON
) -> Path:
    """A local folder, or that of a hub name 'org/name', of which these `files` are downloaded; `ways_on` ends the
    messages. Raises NoSuchWeights when there is none, HubUnreachable when the hub does not answer."""
    # pathlib's own raises RuntimeError for a user whom the system does not know.
    path = Path(os.path.expanduser(weights))  # noqa: PTH111
    if path.exists() or not _HUB_NAME.match(weights):
        return _existing(path, weights, ways_on)
    return _download(weights, files, ways_on)


def _existing(folder: Path, weights: str, ways_on: str) -> Path:
    if not folder.is_dir():
        raise NoSuchWeights(f"weights {weights!r}: no such folder. {ways_on}")
    return folder


def _download(name: str, files: Sequence[str], ways_on: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(files)))
    except GatedRepoError:
        raise WeightsError(
            f"weights {name!r}: gated on the hub; accept its terms there and log in. {ways_on}"
        ) from None
    except RepositoryNotFoundError:
        raise NoSuchWeights(f"weights {name!r}: the hub has no such model. {ways_on}") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise HubUnreachable(f"weights {name!r}: the model hub cannot be reached ({reason}). {ways_on}") from None


def _tensor_files(folder: Path) -> list[Path]:
    for stem in ("diffusion_pytorch_model", "model"):
        index = folder / f"{stem}.safetensors.index.json"
        if index.exists():
            files = sorted({folder / name for name in read_json(index)["weight_map"].values()})
        else:
            files = [folder / f"{stem}.safetensors"]
        if all(file.exists() for file in files):
            return files
    raise WeightsError(f"{folder}: no safetensors weights (diffusion_pytorch_model or model). {WAYS_ON}")


def _shapes(file: Path) -> list[tuple[str, tuple[int, ...]]]:
    try:
        with safe_open(file, framework="pt") as tensors:
            return [(name, tuple(tensors.get_slice(name).get_shape())) for name in tensors.keys()]  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{file}: truncated or not safetensors ({error}); download it again.") from None


def require_finite(tensor: torch.Tensor, name: str, file: Path | str) -> None:
    """Raises WeightsError for a tensor of `file` with numbers that are not finite."""
    if tensor.is_floating_point() and not torch.isfinite(tensor).all():
        count = int((~torch.isfinite(tensor)).sum())
        raise WeightsError(
            f"{file}: {count} numbers of tensor '{name}' are not finite: nothing good comes of such weights. Download "
            "the file again, or take an earlier checkpoint of the training"
        )


def require_shapes(
    wanted: Mapping[str, tuple[int, ...]],
    found: Mapping[str, tuple[int, ...]],
    folder: Path | str,
    config: str = "config.json",
) -> None:
    """Raises WeightsError that names the first tensors of a folder that are missing, unexpected or of another shape
    than those that its `config` wants."""
    missing = [f"{name} {list(wanted[name])} is missing" for name in sorted(wanted.keys() - found.keys())]
    unexpected = [f"{name} {list(found[name])} is unexpected" for name in sorted(found.keys() - wanted.keys())]
    unexpected = [line for line in unexpected if "position_ids" not in line and "causal_attention_mask" not in line]
    differ = [
        f"{name} is {list(found[name])}, the configuration wants {list(wanted[name])}"
        for name in sorted(wanted.keys() & found.keys())
        if wanted[name] != found[name]
    ]
    problems = differ + missing + unexpected
    if problems:
        more = f"\n  … and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        first = "\n  ".join(problems[:_SHOWN])
        raise WeightsError(
            f"{folder}: weights of another architecture than {config} says ({len(problems)} tensors differ):\n  "
            f"{first}{more}\nGive the {config} that belongs to these weights."
        )
