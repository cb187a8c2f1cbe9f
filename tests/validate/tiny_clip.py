"""A tiny random CLIP in the hub's folder layout."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import CLIPConfig, CLIPModel

WORDS = ["a", "red", "blue", "green", "ball", "box", "something", "cone", "small", "large", "."]


def write_clip(folder: Path) -> Path:
    """Writes it and gives its folder."""
    folder.mkdir(exist_ok=True)
    vocabulary = {word: index for index, word in enumerate(["<unk>", *WORDS, "<start>", "<end>"])}
    end = vocabulary["<end>"]
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", end - 1), ("<end>", end)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={
            **small,
            "vocab_size": end + 1,
            "max_position_embeddings": 8,
            "bos_token_id": end - 1,
            "eos_token_id": end,
            "pad_token_id": end,
        },
        vision_config={**small, "image_size": 16, "patch_size": 4},
        projection_dim=12,
    )
    torch.manual_seed(0)
    model = CLIPModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embedding" in name or "projection" in name:
                parameter.normal_(0, 0.5)
    model.save_pretrained(folder)
    preprocessor = {
        "do_resize": True, "size": {"shortest_edge": 16}, "resample": 3, "do_center_crop": True, "crop_size": 16,
        "do_normalize": True, "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28],
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder
