"""Rung 3: the whole way from prompt to latents, free-running. Errors add up here, and chaos makes them grow."""

from __future__ import annotations

from validate.compare import parity_figures
from validate.context import Context
from validate.rungs.base import Outcome, Rung


def run(context: Context) -> Outcome:
    """Relative L2 error of each prompt's latents."""
    reference = context.sample_reference()
    actual = context.bundle.sample(context.bundle.encode(context.prompts), context.noise)
    limit = context.tolerance("text_encoder", "denoiser", "sampler").latents_relative_l2
    stage = "sampler" if "sampler" in context.stages else "denoiser"
    return Outcome(
        [
            figure
            for index, prompt in enumerate(context.prompts)
            for figure in parity_figures(
                stage, "latents", reference[index], actual[index], relative_limit=limit, where=repr(prompt)
            )
        ]
    )


RUNG = Rung("latents", "latents from prompts, free-running", run)
