from __future__ import annotations

import torch

from exporter.pipeline.pure_module import PureModule
from exporter.pipeline.tensor import TensorSpec
from exporter.sampling.whole import whole_module

LATENTS = ("batch", 2, 3)


class Step(torch.nn.Module):
    """Uses everything a step is given."""

    def forward(self, sample, previous_sample, previous_prediction, embedding, step):
        prediction = torch.tanh(sample + embedding[:, None] + 0.1 * step)
        return 0.5 * sample + prediction - 0.2 * previous_sample + 0.3 * previous_prediction, prediction


def test_the_whole_sampler_is_the_hosts_loop():
    names = ("sample", "previous_sample", "previous_prediction")
    inputs = (
        *(TensorSpec(name, "float32", LATENTS) for name in names),
        TensorSpec("embedding", "float32", ("batch", 3)),
        TensorSpec("step", "int64", ()),
    )
    whole = whole_module(PureModule("denoiser", Step(), inputs, ()), 4, "latents")
    assert [spec.name for spec in whole.inputs] == ["sample", "embedding"]
    assert [(spec.name, spec.shape) for spec in whole.outputs] == [("latents", LATENTS)]
    torch.manual_seed(0)
    sample, embedding = torch.randn(2, 2, 3), torch.randn(2, 3)
    found = whole.module(sample, embedding)
    before, prediction_before = torch.zeros_like(sample), torch.zeros_like(sample)
    for i in range(4):
        following, prediction = Step()(sample, before, prediction_before, embedding, torch.tensor(i))
        sample, before, prediction_before = following, sample, prediction
    torch.testing.assert_close(found, sample)
