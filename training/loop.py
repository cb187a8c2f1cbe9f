"""One training loop for every part: AdamW, warm-up and cosine, checkpoints, and a run that goes on exactly where it
stopped.

Every step draws from generators seeded by its own number, so a resumed run sees what an uninterrupted one would have
seen.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from training.config import Schedule

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def mixed_precision() -> torch.autocast:
    """Matrix products in bfloat16 where the hardware multiplies it faster than float32."""
    own = torch.cpu.get_capabilities()
    fast = DEVICE.type == "cuda" or own.get("amx_bf16", False) or own.get("avx512_bf16", False)
    return torch.autocast(DEVICE.type, torch.bfloat16, enabled=fast)


class Draw:
    """The random numbers of one step, on the training device."""

    def __init__(self, seed: int, step: int) -> None:
        self.generator = torch.Generator(DEVICE).manual_seed(seed * 1_000_003 + step)

    def integers(self, high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=self.generator, device=DEVICE)

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, device=DEVICE)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=DEVICE)


def fit(
    name: str, model: nn.Module, loss: Callable[[int, Draw], Tensor], schedule: Schedule, folder: Path
) -> nn.Module:
    """Trains `model` in place by `loss(step, draw)` and gives the weights to use: their moving average where
    `schedule.ema` asks for one.
    """
    checkpoint, done = folder / f"{name}.checkpoint", folder / f"{name}.pt"
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(schedule.ema), use_buffers=True
    )
    chosen = average.module if schedule.ema else model
    if done.exists():
        chosen.load_state_dict(torch.load(done, weights_only=True, map_location=DEVICE))
        return chosen.eval()
    optimizer = torch.optim.AdamW(
        _parameter_groups(model, schedule.decay), lr=schedule.rate, betas=(0.9, 0.98), fused=DEVICE.type == "cuda"
    )
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, schedule))
    state = {"model": model, "average": average, "optimizer": optimizer, "rate": rate}
    start, seconds = _resume(checkpoint, state)
    model.train()
    began = time.monotonic() - seconds
    report = TrainingReport(name, start, schedule.steps)
    saved = time.monotonic()
    for step in range(start, schedule.steps):
        value = loss(step, Draw(schedule.seed, step))
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        rate.step()
        if schedule.ema:
            average.update_parameters(model)
        report.step(step, value)
        if time.monotonic() - saved > schedule.checkpoint_seconds:
            progress = {"step": step + 1, "seconds": time.monotonic() - began}
            _save(progress | {key: part.state_dict() for key, part in state.items()}, checkpoint)
            saved = time.monotonic()
    _save(chosen.state_dict(), done)
    note_time(folder, name, time.monotonic() - began)
    checkpoint.unlink(missing_ok=True)
    return chosen.eval()


def _rate(step: int, schedule: Schedule) -> float:
    if step < schedule.warmup:
        return (step + 1) / schedule.warmup
    done = (step - schedule.warmup) / max(1, schedule.steps - schedule.warmup)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _parameter_groups(model: nn.Module, decay: float) -> list[dict]:
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def note_time(folder: Path, name: str, seconds: float) -> None:
    """Keeps how long a part took, for the model card."""
    (folder / f"{name}.seconds").write_text(f"{seconds:.0f}\n")


def _resume(checkpoint: Path, state: dict) -> tuple[int, float]:
    if not checkpoint.exists():
        return 0, 0.0
    saved = torch.load(checkpoint, weights_only=True, map_location=DEVICE)
    for key, part in state.items():
        part.load_state_dict(saved[key])
    return saved["step"], saved["seconds"]


def _save(content: dict, path: Path) -> None:
    temporary = path.with_suffix(".partial")
    torch.save(content, temporary)
    temporary.replace(path)


class TrainingReport:
    """A line every ten seconds: where a run is, its loss and when it will be done."""

    def __init__(self, name: str, start: int, steps: int) -> None:
        self.name, self.start, self.steps = name, start, steps
        self.began = self.last = time.monotonic()

    def step(self, step: int, value: Tensor | None = None) -> None:
        now = time.monotonic()
        if now - self.last < 10 and step + 1 < self.steps:
            return
        self.last = now
        pace = (now - self.began) / (step + 1 - self.start)
        left = pace * (self.steps - step - 1)
        loss = f"loss {value.item():.4f}, " if value is not None else ""
        print(
            f"{self.name}: {step + 1}/{self.steps}, {loss}{pace * 1e3:.0f} ms each, {left / 60:.1f} min left",
            flush=True,
        )
