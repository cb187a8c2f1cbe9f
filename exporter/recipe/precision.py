"""The precisions that a layer can have."""

from __future__ import annotations

from typing import Literal

Precision = Literal["palette", "int4_weights", "int8_dynamic", "int8", "int8_weights", "bf16", "fp16", "fp32"]
