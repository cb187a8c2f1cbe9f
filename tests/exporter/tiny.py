"""A random Shap-E small enough for every test, and a recipe for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from exporter.families.family import Model
from exporter.pipeline.pure_module import PureModule
from exporter.recipe.recipe import Recipe
from exporter.recipe.sampler_section import SamplerSection
from exporter.sampling.table import table_of
from exporter.workshop.sources import program_sources
from tests.exporter.ball_family import TOLERANCES as OF_A_MESH

# A ray that grazes the surface of a random field takes its samples elsewhere by one rounding: 81 dB of one picture.
TOLERANCES = OF_A_MESH | {"stage_snr_db": 75.0, "render_psnr_db": 50.0}
WORDS = ("a", "red", "blue", "chair", "table", "mug", "tall")


def sampler(**changes: Any) -> SamplerSection:
    """A short sampler with guidance."""
    return SamplerSection(**{"scheduler": "heun", "steps": 4, "guidance_scale": 3.0} | changes)


def tiny_recipe(**changes: Any) -> Recipe:
    """A recipe for the tiny model, or any other Shap-E, whose sampler has these changes."""
    return Recipe.model_validate(
        {
            "name": "tiny",
            "model": {"family": "shap-e", "weights": "tiny"},
            "sampler": sampler(**changes).model_dump(),
            "render": {"size": 16, "coarse_samples": 16, "fine_samples": 24},
            "quantization": {"rules": []},
            "goldens": {"prompts": ["a red chair"]},
            "validation": {"tolerances": {"fp32": TOLERANCES}},
        }
    )


def write_tiny_shap_e(folder: Path) -> Path:
    """A random Shap-E of a few thousand parameters in the hub's diffusers layout."""
    import torch
    from diffusers import HeunDiscreteScheduler, PriorTransformer
    from diffusers.pipelines.shap_e.renderer import ShapERenderer
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

    from exporter.families.shap_e.random_weights import fill_random_part

    byte_tokens = [chr(c) for c in range(ord("!"), ord("~") + 1)]
    merges, vocab = [], {}
    for token in [*byte_tokens, *(t + "</w>" for t in byte_tokens)]:
        vocab[token] = len(vocab)
    for word in WORDS:
        symbols = [*word[:-1], word[-1] + "</w>"]
        while len(symbols) > 1:
            left, right = symbols[:2]
            if (left, right) not in merges:
                merges.append((left, right))
                vocab.setdefault(left + right, len(vocab))
            symbols = [left + right, *symbols[2:]]
    for special in ("<|startoftext|>", "<|endoftext|>"):
        vocab[special] = len(vocab)

    torch.manual_seed(0)
    text = CLIPTextModelWithProjection(
        CLIPTextConfig(
            hidden_size=32,
            intermediate_size=64,
            projection_dim=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            vocab_size=len(vocab),
            max_position_embeddings=12,
            bos_token_id=vocab["<|startoftext|>"],
            eos_token_id=vocab["<|endoftext|>"],
        )
    )
    prior = PriorTransformer(
        num_attention_heads=2,
        attention_head_dim=16,
        num_layers=2,
        embedding_dim=20,
        num_embeddings=64,
        additional_embeddings=0,
        time_embed_act_fn="gelu",
        norm_in_type="layer",
        encoder_hid_proj_type=None,
        added_emb_type=None,
        time_embed_dim=48,
        embedding_proj_dim=24,
        clip_embed_dim=40,
    )
    renderer = ShapERenderer(
        param_names=[f"nerstf.mlp.{i}.weight" for i in range(4)],
        param_shapes=[(16, 93), (16, 16), (16, 16), (16, 16)],
        d_latent=20,
        d_hidden=16,
    )
    scheduler = HeunDiscreteScheduler(
        beta_schedule="exp",
        num_train_timesteps=1024,
        prediction_type="sample",
        use_karras_sigmas=True,
        clip_sample=True,
        clip_sample_range=1.0,
    )
    for seed, module in enumerate((text, prior, renderer)):
        fill_random_part(module, seed)
    text.save_pretrained(folder / "text_encoder")
    CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=12).save_pretrained(folder / "tokenizer")
    prior.save_pretrained(folder / "prior")
    scheduler.save_pretrained(folder / "scheduler")
    renderer.save_pretrained(folder / "shap_e_renderer")
    return folder


def pure_module(model: Model, stage: str, recipe: Recipe | None = None) -> PureModule:
    """What is traced of a stage, of a sampler one evaluation."""
    recipe = recipe or tiny_recipe()
    pipeline = model.pipeline(recipe)
    tables = {name: table_of(recipe.sampler, model.scheduler(name)) for name in pipeline.of_kind("sample")}
    return next(s for s in program_sources(model, recipe, tables, None) if s.name == stage).make_module()
