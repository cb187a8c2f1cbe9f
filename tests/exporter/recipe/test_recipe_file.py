from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import RecipeError
from exporter.recipe.recipe import Recipe
from exporter.recipe.recipe_file import load_recipe

RECIPES = Path(__file__).parents[3] / "recipes"
FLAGSHIP = RECIPES / "shape_e_int8.yaml"
FP32 = RECIPES / "shape_e_fp32.yaml"


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = FP32.read_text()
    assert old in text
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new, 1))
    return path


def line_of(path: Path, text: str) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def test_the_flagship_extends_the_fp32_recipe():
    flagship, base = load_recipe(FLAGSHIP), load_recipe(FP32)
    assert flagship.name == "shape_e_int8"
    assert flagship.sampler == base.sampler
    assert "int8" in flagship.precisions and base.precisions == {"fp32"}
    assert flagship.validation.tolerances["fp32"] == base.validation.tolerances["fp32"]


def test_the_digest_tells_content_and_nothing_else(tmp_path):
    assert load_recipe(FP32).digest == load_recipe(edited(tmp_path, "steps: 64", "steps:    64  # many")).digest
    assert load_recipe(FP32).digest != load_recipe(FP32, ["sampler.steps=63"]).digest
    assert load_recipe(FP32).digest != load_recipe(FP32, weights="random:shap-e-mini").digest


MISTAKES = [
    ("scheduler: heun", "schedular: heun", "schedular", ["unknown field", "allowed:", "did you mean 'scheduler'?"]),
    (
        "scheduler: heun",
        "scheduler: huen",
        "huen",
        ["found 'huen'", "euler, flow_euler, heun", "mean 'heun'?"],
    ),
    ("steps: 64", "steps: 6.4", "6.4", ["sampler.steps", "found 6.4", "integer"]),
    ("steps: 64", 'steps: "64"', '"64"', ["found '64'", "integer"]),
    ("steps: 64", "steps: 0", "steps: 0", ["found 0", "greater than or equal to 1"]),
    ("steps: 64", "steps: 64 steps", "64 steps", ["the unit is steps", "without 'steps'"]),
    ("size: 128", "size: 128px", "128px", ["the unit is pixels", "without 'px'"]),
    ("size: 128", "size: yes", "size: yes", ["found 'yes'"]),
    ("guidance_scale: 3.0", "guidance_scale: true", "guidance_scale", ["found True"]),
    ("guidance_scale: 3.0", "guidance_scale: .nan", "guidance_scale", ["found '.nan'"]),
    ("rules: []", "rules: [{layers: a, precision: int-8}]", "int-8", ["found 'int-8'", "did you mean 'int8'?"]),
    ("rules: []", "rules: [{layers: a, precision: int8, bits: 4}]", "bits", ["bits go with precision palette"]),
    ("family: shap-e", "familly: shap-e", "familly", ["did you mean 'family'?"]),
    ("    fp32:", "    fp23:", "fp23", ["found 'fp23'", "did you mean 'fp32'?"]),
    ("stage_snr_db: 90.0", "stage_snr_db: 90 percent", "90 percent", ["the unit is dB", "without 'percent'"]),
]


@pytest.mark.parametrize(("old", "new", "at", "told"), MISTAKES, ids=[mistake[1] for mistake in MISTAKES])
def test_a_mistake_is_told_with_file_line_and_remedy(tmp_path, old, new, at, told):
    path = edited(tmp_path, old, new)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert f"{path}:{line_of(path, at)}: " in str(caught.value)
    assert all(part in str(caught.value) for part in told), str(caught.value)
    assert caught.value.exit_code == 2


def test_all_mistakes_are_told_at_once(tmp_path):
    path = edited(tmp_path, "scheduler: heun\n  steps: 64", "scheduler: huen\n  steps: many")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert len(str(caught.value).splitlines()) == 2


def test_a_missing_section_is_never_filled_in(tmp_path):
    path = edited(tmp_path, "quantization:\n  rules: []\n", "")
    with pytest.raises(RecipeError, match="quantization: this field is required"):
        load_recipe(path)


def test_a_precision_without_tolerances_is_refused():
    with pytest.raises(RecipeError, match=r"validation\.tolerances lacks int8"):
        load_recipe(FP32, ["quantization.rules=[{layers: denoiser/*, precision: int8}]"])


def test_a_field_written_twice_is_refused(tmp_path):
    path = edited(tmp_path, "  steps: 64\n", "  steps: 64\n  steps: 8\n")
    with pytest.raises(RecipeError, match=f":{line_of(path, 'steps: 8')}: sampler.steps: written twice"):
        load_recipe(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: [", "not valid YAML"),
        ("- a\n- b\n", "a mapping of fields is expected"),
        ("", "a mapping of fields is expected"),
        ("a: *b", "aliases are not used"),
        ("a: &a [*a]", "x.yaml:1: not valid YAML: aliases are not used"),
        ("name: !!python/object/apply:os.system [ls]", "not valid YAML"),
        ("a: " + "[" * 1200, "not valid YAML"),
        ("{a: 1}: 2", "has to be a word"),
        ("a: !!bool x", "not valid YAML"),
        ("a: !!timestamp x", "not valid YAML"),
    ],
    ids=["unclosed", "list", "empty", "alias", "ring", "python tag", "deep", "mapping as key", "no bool", "no date"],
)
def test_what_is_no_recipe_at_all(tmp_path, text, told):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=told):
        load_recipe(path)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="UTF-8"):
        load_recipe(tmp_path / "x.yaml")


def test_a_missing_file_names_its_neighbour():
    with pytest.raises(RecipeError, match=r"did you mean 'shape_e_int8\.yaml'"):
        load_recipe(RECIPES / "shap_e_int8.yaml")


def test_recipes_that_extend_each_other_in_a_ring(tmp_path):
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(RecipeError, match=r"ring: a\.yaml -> b\.yaml -> a\.yaml"):
        load_recipe(tmp_path / "a.yaml")


def test_a_mistake_in_the_parent_names_the_parent(tmp_path):
    parent = edited(tmp_path, "steps: 64", "steps: many")
    child = tmp_path / "child.yaml"
    child.write_text("extends: mine.yaml\nname: child\nsampler: {guidance_scale: 2}\n")
    with pytest.raises(RecipeError, match=f"mine.yaml:{line_of(parent, 'many')}: sampler.steps"):
        load_recipe(child)


@pytest.mark.parametrize("name", ["nowhere.yaml", "x" * 300 + "nowhere.yaml"])
def test_a_missing_parent_is_told_at_its_line(tmp_path, name):
    (tmp_path / "a.yaml").write_text(f"name: a\nextends: {name}\n")
    with pytest.raises(RecipeError, match=r"a\.yaml:2: extends: .*nowhere\.yaml is not a file"):
        load_recipe(tmp_path / "a.yaml")


def test_overrides_replace_values_and_are_named_in_errors():
    changed = load_recipe(FP32, ["sampler.steps=16", "goldens.prompts=[a cup, ein grüner Stuhl]", "mesh.grid=32"])
    assert (changed.sampler.steps, changed.mesh.grid) == (16, 32)
    assert changed.goldens.prompts == ["a cup", "ein grüner Stuhl"]
    with pytest.raises(RecipeError, match=r"^--set sampler\.stepz=16: sampler\.stepz: unknown field"):
        load_recipe(FP32, ["sampler.stepz=16"])


INT8 = FP32.with_name("shape_e_int8.yaml")


def test_an_item_of_a_list_is_addressed_by_its_number():
    rules = load_recipe(INT8).quantization.rules
    changed = load_recipe(INT8, ["quantization.rules.0.precision=fp16"]).quantization.rules
    assert rules[0].precision == "int8" and changed == [rules[0].model_copy(update={"precision": "fp16"}), *rules[1:]]
    assert load_recipe(FP32, ["goldens.prompts.1=a cup"]).goldens.prompts[:2] == ["a red chair", "a cup"]


def test_more_is_added_to_a_list():
    added = "quantization.rules+={layers: projector/*, precision: fp16}"
    before, after = load_recipe(INT8), load_recipe(INT8, [added])
    assert after.quantization.rules[:-1] == before.quantization.rules
    assert (after.quantization.rules[-1].layers, after.quantization.rules[-1].precision) == ("projector/*", "fp16")
    assert len(load_recipe(FP32, ["goldens.prompts+=[a cup, a mug]"]).goldens.prompts) == 5
    assert load_recipe(FP32, ["quantization.rules+={layers: field/*, precision: fp16}"]).quantization.rules


def test_what_is_wrong_in_an_added_or_addressed_item_is_told_with_its_override():
    with pytest.raises(
        RecipeError, match=r"^--set quantization\.rules\+=.*: quantization\.rules\.\d+\.precision: found"
    ):
        load_recipe(INT8, ["quantization.rules+={layers: projector/*, precision: int7}"])
    with pytest.raises(
        RecipeError, match=r"^--set quantization\.rules\.0\.precision=int7: quantization\.rules\.0\.prec"
    ):
        load_recipe(INT8, ["quantization.rules.0.precision=int7"])
    with pytest.raises(
        RecipeError, match=r"quantization\.rules has \d+ items, from 0 to \d+, and '99' is none of them"
    ):
        load_recipe(INT8, ["quantization.rules.99.precision=fp16"])
    with pytest.raises(RecipeError, match=r"quantization\.rules is empty, and '0' is none"):
        load_recipe(FP32, ["quantization.rules.0.precision=fp16"])
    with pytest.raises(RecipeError, match=r"sampler\.steps is 64, no list"):
        load_recipe(FP32, ["sampler.steps+=1"])


@pytest.mark.parametrize(
    "override", ["sampler.steps", "=3", "a..b=3", "name.x=3", "mesh.grid=[", "mesh=8", "name=!!bool x"]
)
def test_an_override_that_cannot_be(override):
    with pytest.raises(RecipeError):
        load_recipe(FP32, [override])


def test_numbers_are_read_as_people_write_them(tmp_path):
    path = edited(tmp_path, "chamfer: 1e-4", "chamfer: 5e-3")
    assert load_recipe(path).validation.tolerances["fp32"].chamfer == 0.005
    path = edited(tmp_path, "something green", "no")
    assert load_recipe(path).goldens.prompts[-1] == "no"


@given(st.text())
def test_any_text_is_a_recipe_or_a_recipe_error(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "x.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(RecipeError):
        load_recipe(path)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(
    [
        "name",
        "sampler",
        "sampler.steps",
        "mesh.grid",
        "quantization.stages",
        "validation",
        "goldens",
        "goldens.prompts.1",
        "quantization.rules+",
        "mesh+",
    ]
)


@given(fields, values)
def test_any_value_anywhere_is_taken_or_told(field, value):
    override = f"{field}={yaml.safe_dump(value, default_flow_style=True).removesuffix('...' + chr(10)).strip()}"
    try:
        assert isinstance(load_recipe(FP32, [override]), Recipe)
    except RecipeError as error:
        assert str(error).strip()


one_line = st.text(min_size=1).filter(lambda text: text.strip() and len(text.splitlines()) == 1)


@settings(max_examples=25)
@given(
    steps=st.integers(1, 1000),
    guidance=st.floats(0, 100),
    prompts=st.lists(
        st.text(min_size=1).filter(lambda text: text.strip() and len(text.splitlines()) == 1), min_size=1, max_size=8
    ),
)
def test_a_recipe_shown_and_read_again_is_the_same(tmp_path_factory, steps, guidance, prompts):
    data = load_recipe(FP32).data()
    data["sampler"] |= {"steps": steps, "guidance_scale": guidance}
    data["goldens"]["prompts"] = prompts
    recipe = Recipe.model_validate(data)
    path = tmp_path_factory.mktemp("again") / "x.yaml"
    path.write_text(yaml.safe_dump(recipe.data(), allow_unicode=True), encoding="utf-8")
    assert load_recipe(path) == recipe
    assert load_recipe(path).digest == recipe.digest
