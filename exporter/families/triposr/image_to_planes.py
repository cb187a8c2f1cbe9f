"""TripoSR's way from a picture to planes as pure functions, with what does not depend on the picture computed once.

The vision tower's last normalisation is the first thing that the backbone does: what programs hand over stays in
floating point, and each layer behind it reads what can be quantized (TensorRT takes no Q/DQ on a program's own
input, NVIDIA/TensorRT#4832).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from exporter.families.triposr.triplane_networks import (
    PLANES,
    ImageTokenizer,
    Transformer1D,
    TriplaneTokens,
    TriplaneUpsample,
)


def split_off_norm(tokenizer: ImageTokenizer) -> tuple[ImageTokenizer, nn.LayerNorm]:
    """A vision tower without its last normalisation, in place, and that."""
    norm = tokenizer.model.layernorm
    tokenizer.model.set_submodule("layernorm", nn.Identity())
    return tokenizer, norm


class Backbone(nn.Module):
    """Image tokens [B, T, D] before their normalisation to planes [B, 3, F, 2 H, 2 H].

    The learned tokens go through normalisation, projection and the first block's self-attention here and now: no
    picture has a part in that. Projection out of the transformer and the transposed convolution, whose squares do not
    overlap, are both linear in each token and become one layer; what the residual adds to them is a constant.
    """

    def __init__(
        self, norm: nn.LayerNorm, tokens: TriplaneTokens, transformer: Transformer1D, upsample: TriplaneUpsample
    ) -> None:
        super().__init__()
        self.norm = norm
        self.side = tokens.embeddings.shape[-1]
        learned = tokens()
        with torch.no_grad():
            first: Any = transformer.transformer_blocks[0]
            hidden = transformer.proj_in(transformer.norm(learned).transpose(1, 2))
            self.start = nn.Buffer(hidden + first.attn1(first.norm1(hidden)))
            self.head, self.base = _one_layer(transformer.proj_out, upsample.upsample, learned[0].T)
        first.norm1 = first.attn1 = nn.Identity()
        self.transformer_blocks = transformer.transformer_blocks

    def forward(self, image_tokens: torch.Tensor) -> torch.Tensor:
        first: Any
        first, *others = self.transformer_blocks
        attended = self.norm(image_tokens)
        hidden = self.start.expand(image_tokens.shape[0], -1, -1)
        hidden = hidden + first.attn2(first.norm2(hidden), encoder_hidden_states=attended)
        hidden = hidden + first.ff(first.norm3(hidden))
        for block in others:
            hidden = block(hidden, encoder_hidden_states=attended)
        squares = self.head(hidden) + self.base
        side, features = self.side, squares.shape[-1] // 4
        # [object and plane, row, column, feature, row in the square, column in the square]: XNNPACK takes no seventh.
        parted = squares.reshape(-1, side, side, features, 2, 2).permute(0, 3, 1, 4, 2, 5)
        return parted.reshape(-1, PLANES, features, 2 * side, 2 * side)


def _one_layer(
    projection: nn.Linear, upsample: nn.ConvTranspose2d, learned: torch.Tensor
) -> tuple[nn.Linear, nn.Buffer]:
    """proj_out and the transposed convolution as one layer without bias, and what comes to it of biases and of the
    learned tokens [N, C]: [1, N, F * 4]."""
    spread = upsample.weight.double().flatten(1).T  # [F * 4, C]
    assert upsample.bias is not None
    bias = upsample.bias.double().repeat_interleave(4)
    head = nn.Linear(projection.in_features, len(spread), bias=False, device="meta")
    weight = (spread @ projection.weight.double()).float()
    head.load_state_dict({"weight": weight}, assign=True)
    base = (learned.double() + projection.bias.double()) @ spread.T + bias
    return head, nn.Buffer(base[None].float())
