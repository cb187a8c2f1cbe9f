"""Weights in the hub's layout that are damaged, not finite, or pickles."""

from __future__ import annotations

import pickle
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from exporter.errors import WeightsError
from exporter.families.registry import load_model
from tests.exporter.tiny import write_tiny_shap_e
from tests.faults.damage import flip, oversize, truncate
from tests.faults.fault import Attempt, Fault


class _Bomb:
    """Unpickling it writes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.write_text, (self.mark, "unpickled")


def attempts(folder: Path, count: int, rng: random.Random) -> Iterator[Attempt]:
    whole, mark = write_tiny_shap_e(folder / "whole"), folder / "unpickled"
    for number in range(count):
        broken = shutil.copytree(whole, folder / "broken", dirs_exist_ok=True)
        files = sorted(broken.rglob("*.safetensors"))
        kind, spoil = KINDS[number % len(KINDS)]
        spoil(rng.choice(files), mark, rng)
        lost = _loaded(broken, mark, harmless=kind == "flipped")
        shutil.rmtree(broken)
        yield Attempt(kind, lost)


def _loaded(folder: Path, mark: Path, harmless: bool) -> str:
    """`harmless`: a flipped bit may leave a number that is as good as another."""
    try:
        model = load_model("shap-e", str(folder))
        model.text_encoder(), model.prior(), model.renderer()
    except WeightsError as error:
        return "" if str(error) else "refused without a word"
    except Exception as error:
        return f"a traceback, {type(error).__name__}: {error}"
    finally:
        if mark.exists():
            mark.unlink()
            return "code of a checkpoint was run"  # noqa: B012 - worse than whatever else came of it
    return "" if harmless else "not noticed"


def _not_finite(path: Path, mark: Path, rng: random.Random) -> None:
    tensors = load_file(path)
    name = rng.choice(sorted(name for name, tensor in tensors.items() if tensor.dtype == np.float32 and tensor.size))
    flat = tensors[name].reshape(-1).copy()
    flat[rng.randrange(flat.size)] = rng.choice([np.nan, np.inf, -np.inf])
    save_file(tensors | {name: flat.reshape(tensors[name].shape)}, path)


def _pickle_in_its_place(path: Path, mark: Path, rng: random.Random) -> None:
    path.write_bytes(pickle.dumps(_Bomb(mark)))


def _pickle_beside_nothing(path: Path, mark: Path, rng: random.Random) -> None:
    path.with_name("pytorch_model.bin").write_bytes(pickle.dumps(_Bomb(mark)))
    path.unlink()


def _spoiled(damage: Callable[[bytes, random.Random], bytes]) -> Callable[[Path, Path, random.Random], None]:
    return lambda path, mark, rng: path.write_bytes(damage(path.read_bytes(), rng)) and None


KINDS = [
    ("not finite", _not_finite),
    ("a pickle in its place", _pickle_in_its_place),
    ("only a pickle", _pickle_beside_nothing),
    ("truncated", _spoiled(truncate)),
    ("oversized", _spoiled(oversize)),
    ("flipped", _spoiled(flip)),
]

FAULT = Fault(
    "wrong-checkpoints",
    "loads weights of which one file is damaged, not finite or a pickle; it is refused with words and no code of it "
    "runs",
    600,
    attempts,
    sample=12,
)
