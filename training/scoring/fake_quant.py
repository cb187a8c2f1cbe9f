"""Simulated quantization of the prior's linear layers, to see how much the small model notices."""

from torch import Tensor, nn


def fake_quantize(x: Tensor, bits: int, axis: int | None = None) -> Tensor:
    """Symmetric rounding to `bits`, one scale for all or one a slice along `axis`."""
    limit = 2 ** (bits - 1) - 1
    largest = x.abs().amax() if axis is None else x.abs().amax(dim=axis, keepdim=True)
    scale = largest.clamp(min=1e-12) / limit
    return (x / scale).round().clamp(-limit, limit) * scale


def quantize_weights(model: nn.Module, bits: int, per_channel: bool) -> None:
    """Rounds every linear layer's weight in place; per tensor, or per output channel."""
    for layer in linear_layers(model):
        layer.weight.data = fake_quantize(layer.weight.data, bits, axis=1 if per_channel else None)


def quantize_activations(model: nn.Module, bits: int) -> None:
    """Rounds what goes into every linear layer, one scale a tensor, taken from the tensor itself."""
    for layer in linear_layers(model):
        layer.register_forward_pre_hook(lambda _, inputs: (fake_quantize(inputs[0], bits), *inputs[1:]))


def linear_layers(model: nn.Module) -> list[nn.Linear]:
    return [layer for layer in model.modules() if isinstance(layer, nn.Linear)]


def w8a8(model: nn.Module) -> None:
    quantize_weights(model, 8, per_channel=False)
    quantize_activations(model, 8)


def weights_only(bits: int):
    def apply(model: nn.Module) -> None:
        quantize_weights(model, bits, per_channel=True)

    return apply


VARIANTS = {"w8a8": w8a8, "w4": weights_only(4), "w3": weights_only(3), "w2": weights_only(2)}
