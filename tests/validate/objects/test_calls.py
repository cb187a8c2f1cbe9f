"""How often programs run, and are opened, for the objects that a judge sees."""

from __future__ import annotations

from exporter.runtime import batch
from tests.little_memory import open_with_little_memory
from validate.objects.objects import sample_objects


def test_what_the_judge_sees_is_sampled_together_and_no_encoder_is_opened_for_one_object(toy_bundle, monkeypatch):
    bundle, calls, opened = open_with_little_memory(toy_bundle, monkeypatch)
    runs = list(sample_objects(bundle, ["a red ball", "a blue ball", "green"], [0, 1, 2]))
    assert opened == ["text_encoder", "denoiser"] and calls == [("text_encoder", 3)] + [("denoiser", 3)] * 3
    for one in runs:
        one["radius"]
    assert opened == ["text_encoder", "denoiser", "projector"]


def test_no_more_are_sampled_together_than_memory_allows(toy_bundle, monkeypatch):
    """Of three objects where two fit: the prompts are read together, the sampler takes two and then the third."""
    bundle, calls, _ = open_with_little_memory(toy_bundle, monkeypatch)
    monkeypatch.setattr(batch, "batch_size", lambda pipeline: 2)
    list(sample_objects(bundle, ["a red ball", "a blue ball", "green"], [0, 1, 2]))
    assert calls == [("text_encoder", 3)] + [("denoiser", 2)] * 3 + [("denoiser", 1)] * 3
