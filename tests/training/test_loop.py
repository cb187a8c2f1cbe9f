"""A run that was stopped goes on as if it had not been."""

import pytest
import torch
from torch import nn

from training.config import Schedule
from training.loop import fit


class Stopped(Exception):
    pass


def run(folder, stop_at=None):
    torch.manual_seed(0)
    model = nn.Linear(3, 1)

    def loss(step, draw):
        if step == stop_at:
            raise Stopped
        return (model(draw.normal(8, 3)) - draw.uniform(8, 1)).square().mean()

    schedule = Schedule(steps=12, batch=8, rate=1e-2, seed=1, warmup=3, ema=0.9, checkpoint_seconds=0.0)
    return fit("tiny", model, loss, schedule, folder)


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    expected = run(whole)
    with pytest.raises(Stopped):
        run(broken, stop_at=7)
    assert (broken / "tiny.checkpoint").exists()
    resumed = run(broken)
    for name, tensor in expected.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert not (broken / "tiny.checkpoint").exists()
    assert float((broken / "tiny.seconds").read_text()) >= 0


def test_a_finished_part_is_not_trained_again(tmp_path):
    expected = run(tmp_path)
    again = run(tmp_path, stop_at=0)
    assert torch.equal(expected.weight, again.weight)
