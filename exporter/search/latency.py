"""How long one layer's product takes in each precision on this machine, against itself in fp32."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from exporter.errors import RecipeError
from exporter.files.cache import Cache
from exporter.graphs.program_files import PROGRAM
from exporter.machine.processor import this_processor, usable_processors
from exporter.machine.timing import in_turns, timed
from exporter.quantize.quantizer import Observer, quantize
from exporter.quantize.statistics import Statistics
from exporter.recipe.policy import Policy, Rule
from exporter.runtime.sessions.session import Session, open_session
from exporter.search.candidates import FP32, label
from exporter.targets.target import Target
from exporter.workshop.onnx_program import DEFAULT_OPSET

ROUNDS = 15
ROUND_SECONDS = 0.004
SLOW_SECONDS = 1.0
IR_VERSION = 10
FLOATS_AT_RUN_TIME = ("palette", "fp16")
_FILE = "timing.json"


@dataclass(frozen=True)
class Product:
    """A product of `rows` vectors with a weight of `shape` [..., K, N], that many for each of several matrices.

    `rank`: dimensions of the input; ONNX Runtime fuses those of two otherwise than those of three.
    """

    shape: tuple[int, ...]
    rows: int
    rank: int

    @property
    def lead(self) -> tuple[int, ...]:
        """The dimensions of the input before its rows: the matrices', or a batch of one."""
        return self.shape[:-2] or (1,) * (self.rank - 2)


@dataclass(frozen=True)
class Timing:
    """Of one product: `milliseconds` in fp32, and by candidate label the time as a share of that.

    Medians over rounds in which every precision had its turn; `spread` holds the quartiles of each share. What is only
    stored in fewer bits runs in fp32, so that its share is 1.
    """

    milliseconds: float
    shares: dict[str, float]
    spread: dict[str, tuple[float, float]]

    def saved(self, candidate: str) -> float:
        """Milliseconds saved by one run of the product."""
        return self.milliseconds * (1.0 - self.shares[candidate])


def time_product(product: Product, candidates: Sequence[Rule], target: Target, cache: Cache) -> Timing:
    """Time a product in fp32 and in each candidate, interleaved; kept in the cache for this machine.

    Raises RecipeError for a target that does not run on this machine's ONNX Runtime.
    """
    if target.backend != "onnxruntime":
        raise RecipeError(
            f"target '{target.name}': layers are timed on ONNX Runtime, and its backend is {target.backend}; "
            "measure on a target that runs here, such as cpu"
        )
    known = _known(product, [_as_timed(rule) for rule in candidates], target, cache)
    shares, spread = {}, {}
    for rule in candidates:
        name, timed = label(rule), label(_as_timed(rule))
        shares[name], spread[name] = known.shares.get(timed, 1.0), known.spread.get(timed, (1.0, 1.0))
    return Timing(known.milliseconds, shares, spread)


def machine() -> dict[str, str | int]:
    """What times depend on besides the package versions: the processor and how many of it there are."""
    return {"processor": this_processor().name, "cores": usable_processors()}


def interleaved(
    sessions: Mapping[str, Session],
    arrays: dict[str, np.ndarray],
    rounds: int = ROUNDS,
    fewest: int | None = None,
    seconds: float = 0.0,
) -> Timing:
    """Time programs of the same inputs in turns; the one named fp32 is what the others are compared with.

    Each round begins with another program, and a program runs as often in it as makes its time readable. Where `fewest`
    is given, there are no more rounds than that once `seconds` are over.
    """
    repeats = {name: _repeats(session, arrays) for name, session in sessions.items()}
    taken: dict[str, list[float]] = {name: [] for name in sessions}
    for order in in_turns(list(sessions), rounds if fewest is None else fewest, rounds, seconds):
        for name in order:
            taken[name].append(timed(partial(_run, sessions[name], arrays, repeats[name])) / repeats[name])
    shares = {name: np.divide(times, taken[FP32]) for name, times in taken.items() if name != FP32}
    return Timing(
        1e3 * float(np.median(taken[FP32])),
        {name: float(np.median(share)) for name, share in shares.items()},
        {name: (float(np.quantile(share, 0.25)), float(np.quantile(share, 0.75))) for name, share in shares.items()},
    )


def _as_timed(rule: Rule) -> Rule:
    """How a weight is rounded makes no difference to the time."""
    return rule.model_copy(update={"rounding": "nearest"})


def _known(product: Product, rules: Sequence[Rule], target: Target, cache: Cache) -> Timing:
    """Measured or recalled, of those that do not run in fp32 anyway."""
    timed = {label(rule): rule for rule in rules if rule.precision not in FLOATS_AT_RUN_TIME}
    inputs = {
        "product": asdict(product),
        "candidates": sorted(timed),
        "session": target.session.model_dump(),
        "machine": machine(),
    }
    entry, _ = cache.get("time product", inputs, lambda folder: _measure(product, timed, target, folder))
    told = json.loads((entry.folder / _FILE).read_text(encoding="utf-8"))
    spread = {name: (low, high) for name, (low, high) in told["spread"].items()}
    return Timing(told["milliseconds"], told["shares"], spread)


def _measure(product: Product, candidates: Mapping[str, Rule], target: Target, folder: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {"x": rng.standard_normal((*product.lead, product.rows, product.shape[-2]), np.float32)}
    seen = Statistics.of_nothing(product.shape[-2])
    seen.add(arrays["x"])
    with tempfile.TemporaryDirectory(prefix="t3export-product-") as temporary:
        programs = {FP32: _write(product, rng, target, Path(temporary) / FP32)}
        for name, rule in candidates.items():
            place = Path(temporary) / name.replace(":", "-")
            quantize(programs[FP32], Policy(rules=[rule]), {"x": seen}, Observer("minmax", 100.0), place)
            programs[name] = place / PROGRAM
        options = target.session.model_dump()
        sessions = {name: open_session(target.backend, path, options) for name, path in programs.items()}
        timing = interleaved(sessions, arrays)
    (folder / _FILE).write_text(json.dumps(asdict(timing)), encoding="utf-8")


def _write(product: Product, rng: np.random.Generator, target: Target, folder: Path) -> Path:
    """A program of the product alone. Its rows are symbolic: known ones ONNX Runtime would fuse otherwise."""
    weight = numpy_helper.from_array(rng.standard_normal(product.shape, np.float32), "weight")
    node = helper.make_node("MatMul", ["x", "weight"], ["y"], name="product/layer/MatMul")
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [*product.lead, "rows", width])
        for name, width in zip(("x", "y"), product.shape[-2:], strict=True)
    ]
    graph = helper.make_graph([node], "product", values[:1], values[1:], [weight])
    opset = helper.make_opsetid("", target.opset or DEFAULT_OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    folder.mkdir()
    onnx.save(model, folder / PROGRAM)
    return folder / PROGRAM


def _repeats(session: Session, arrays: dict[str, np.ndarray]) -> int:
    """How often a program has to run for ROUND_SECONDS, after it has run once to warm up; a slow one shows by that."""
    if timed(partial(session.run, arrays)) > SLOW_SECONDS:
        return 1
    return max(1, math.ceil(ROUND_SECONDS / max(timed(partial(session.run, arrays)), 1e-6)))


def _run(session: Session, arrays: dict[str, np.ndarray], times: int) -> None:
    for _ in range(times):
        session.run(arrays)
