from __future__ import annotations

from pathlib import Path

import pytest

from exporter.errors import RecipeError
from exporter.machine.processor import Processor
from exporter.recipe.recipe_file import load_recipe
from exporter.targets.auto import choose
from exporter.targets.target import Need

ROOT = Path(__file__).parents[3]
AVX2 = frozenset({"avx2", "fma"})
VNNI = AVX2 | {"avx512_vnni"}
BF16 = VNNI | {"avx512_bf16"}


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """The packages that are there, whatever this machine has."""
    packages = {"openvino", "onnxruntime"}
    monkeypatch.setattr(Need, "missing", lambda need: need.kind != "device" and need.name not in packages)
    return packages


def chosen(recipe, flags, architecture="x86-64"):
    return choose(load_recipe(ROOT / f"recipes/{recipe}.yaml"), Processor(architecture, frozenset(flags)))


@pytest.mark.parametrize(
    ("recipe", "flags", "target"),
    [
        ("shape_e_int8", BF16, "cpu-openvino-bf16"),
        ("shape_e_int8", AVX2 | {"avx_vnni", "amx_bf16"}, "cpu-openvino-bf16"),
        ("shape_e_int8", VNNI, "cpu-openvino"),
        ("shape_e_int8", AVX2, "cpu"),
        ("shape_e_int8", (), "cpu"),
        ("shape_e_bf16", BF16, "cpu-openvino-bf16"),
        ("shape_e_bf16", VNNI, "cpu"),
        ("shape_e_fp32", BF16, "cpu"),
        ("shape_e_fp32", AVX2, "cpu"),
        ("shape_e_int4", BF16, "cpu"),
    ],
)
def test_the_fastest_that_the_processor_has_and_the_recipe_allows(recipe, flags, target):
    choice = chosen(recipe, flags)
    assert choice.target.name == target and choice.because
    assert all(choice.passed_over.values()) and target not in choice.passed_over


def test_a_recipe_without_tolerances_for_bf16_never_gets_it():
    choice = chosen("shape_e_fp32", BF16)
    assert choice.target.unquantized == "fp32"
    assert "has to be judged by it" in choice.passed_over["cpu-openvino-bf16"]


def test_what_is_not_installed_is_passed_over_and_told(installed):
    installed.remove("openvino")
    choice = chosen("shape_e_int8", BF16)
    assert choice.target.name == "cpu"
    assert choice.passed_over["cpu-openvino"] == "openvino is not installed"


def test_arm64_takes_its_own_target():
    assert chosen("shape_e_int8", (), "arm64").target.name == "arm64"
    assert "no ARM64" in chosen("shape_e_int8", AVX2).passed_over["arm64"]


def test_nothing_left_is_told_with_every_reason(installed):
    installed.clear()
    with pytest.raises(RecipeError, match=r"(?s)nothing on this machine takes.*cpu: onnxruntime is not installed"):
        chosen("shape_e_int8", BF16)
