"""Weights into modules: tensors checked one by one, or seeded random ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from exporter.errors import WeightsError
from exporter.families.checkpoint import Checkpoint, Shape

_SHOWN = 5


def fill(module: nn.Module, checkpoint: Checkpoint, config: str = "config.json") -> None:
    """Copy the tensors of a checkpoint into a module, as float32, one at a time; `config`: what says of which shapes.

    Raises WeightsError that names the first tensors that are missing, unexpected or of another shape, or one that is
    not finite.
    """
    wanted = module.state_dict()
    _check({name: tuple(tensor.shape) for name, tensor in wanted.items()}, checkpoint, config)
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(checkpoint.get(name))
            _require_finite(tensor, name, checkpoint.file_of(name))


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


def _require_finite(tensor: torch.Tensor, name: str, file: str) -> None:
    if tensor.is_floating_point() and not torch.isfinite(tensor).all():
        count = int((~torch.isfinite(tensor)).sum())
        raise WeightsError(
            f"{file}: {count} numbers of tensor '{name}' are not finite: nothing good comes of such weights. Download "
            "the file again, or take an earlier checkpoint of the training"
        )


def _check(wanted: Mapping[str, Shape], checkpoint: Checkpoint, config: str) -> None:
    found = checkpoint.shapes
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
            f"{checkpoint.place}: weights of another architecture than {config} says ({len(problems)} "
            f"tensors differ):\n  {first}{more}\nGive the {config} that belongs to these weights."
        )
