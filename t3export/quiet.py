"""Keeps what libraries say to their own developers off the user's terminal."""

from __future__ import annotations

import logging
import os

LOUD = ("diffusers", "torch.onnx", "torch.utils._pytree", "torchao", "transformers")


def quiet_libraries() -> None:
    """Shows only errors of the libraries; to be called before their import. $T3EXPORT_VERBOSE leaves them alone."""
    if os.environ.get("T3EXPORT_VERBOSE"):
        return
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.ERROR)
