"""The PyTorch original of a Shap-E with a sampler of its own."""

from pathlib import Path

from exporter.families.shap_e.model import ShapE
from exporter.families.shap_e.shap_e_pipeline import ShapEOriginal
from exporter.recipe.recipe_file import load_recipe
from exporter.recipe.sampler_section import SamplerSection

RECIPE = Path(__file__).parent.parent / "recipes" / "shape_e_fp32.yaml"


def original(model: ShapE, scheduler: str, steps: int, guidance: float) -> ShapEOriginal:
    """The model as diffusers runs it, with this sampler."""
    sampler = SamplerSection(scheduler=scheduler, steps=steps, guidance_scale=guidance)
    return model.original(load_recipe(RECIPE).model_copy(update={"sampler": sampler}))
