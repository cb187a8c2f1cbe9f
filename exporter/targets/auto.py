"""`--target auto`: the fastest target on this machine that is no less precise than a recipe allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from exporter.errors import RecipeError
from exporter.machine.processor import Processor
from exporter.recipe.recipe import Recipe
from exporter.targets.accept import fitted, misfits
from exporter.targets.target import AUTO, Target, load_target


@dataclass(frozen=True)
class AutoChoice:
    """The chosen target and why; `passed_over`: by name, why each that is faster elsewhere was not taken."""

    target: Target
    because: str
    passed_over: dict[str, str]


@dataclass(frozen=True)
class _Candidate:
    """`against(recipe, processor)`: why it is nothing for them, empty where it is. `because`: what speaks for it."""

    name: str
    because: str
    against: Callable[[Recipe, Processor], str]


def choose(recipe: Recipe, processor: Processor) -> AutoChoice:
    """The first of the targets, the fastest first, that suits processor and recipe and is installed.

    Raises RecipeError with the reason against each when none is left.
    """
    passed_over: dict[str, str] = {}
    for candidate in _CANDIDATES:
        target = load_target(candidate.name)
        reasons = [candidate.against(recipe, processor), *_lacks(target), *_refuses(recipe, target)]
        reason = next(filter(None, reasons), "")
        if not reason:
            return AutoChoice(target, candidate.because, passed_over)
        passed_over[target.name] = reason
    told = "\n  ".join(f"{name}: {reason}" for name, reason in passed_over.items())
    raise RecipeError(f"--target {AUTO}: nothing on this machine takes the recipe '{recipe.name}':\n  {told}")


def _lacks(target: Target) -> Iterator[str]:
    for need in target.missing("run"):
        yield f"{need.name} is not installed"


def _refuses(recipe: Recipe, target: Target) -> Iterator[str]:
    for name, reason in misfits(fitted(recipe, target)[0], target).items():
        yield f"{name}: {reason}"


def _openvino_bf16(recipe: Recipe, processor: Processor) -> str:
    return "" if processor.has_bf16 and processor.has_vnni else "the processor has no bf16 (avx512_bf16, amx_bf16)"


def _openvino(recipe: Recipe, processor: Processor) -> str:
    if not processor.has_vnni:
        return "the processor has no VNNI (avx512_vnni, avx_vnni)"
    return "" if "int8" in recipe.precisions else "without int8 layers it is no faster than ONNX Runtime"


def _arm64(recipe: Recipe, processor: Processor) -> str:
    return "" if processor.architecture == "arm64" else "the processor is no ARM64"


def _any(recipe: Recipe, processor: Processor) -> str:
    return ""


_CANDIDATES = (
    _Candidate(
        "cpu-openvino-bf16",
        "the processor has bf16 and the recipe has tolerances for it; OpenVINO is the fastest there",
        _openvino_bf16,
    ),
    _Candidate("cpu-openvino", "the processor has VNNI, and OpenVINO's INT8 is the fastest there", _openvino),
    _Candidate("arm64", "the processor is an ARM64", _arm64),
    _Candidate("cpu", "ONNX Runtime runs on every processor", _any),
)
