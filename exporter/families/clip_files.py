"""CLIP ViT-L/14 beside models that are conditioned on it: what its files are called, and a half of its tensors."""

from __future__ import annotations

from exporter.families.checkpoint import Checkpoint, Renamed, Taken

CLIP = "clip-vit-large-patch14"
"""The folder in which it lies beside a model's own files."""
CLIP_ON_THE_HUB = f"openai/{CLIP}"
TEXT_HALF = ("text_model.", "text_projection.")
VISION_TOWER = ("vision_model.",)
VISION_HALF = (*VISION_TOWER, "visual_projection.")


def half_of(clip: Checkpoint, beginnings: tuple[str, ...]) -> Checkpoint:
    """The tensors of one half, by the beginnings of their names."""
    return Renamed(
        clip, {name: Taken(name, shape) for name, shape in clip.shapes.items() if name.startswith(beginnings)}
    )
