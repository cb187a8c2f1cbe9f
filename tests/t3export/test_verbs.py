from __future__ import annotations

import errno
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

from exporter.errors import BundleError, HubUnreachable, RecipeError, ValidationFailed, WeightsError
from exporter.manifest import WeightsFilePart, list_files, manifest_schema, read_manifest, write_manifest
from exporter.recipe.recipe import Recipe
from t3export.cli import COMMANDS, GROUPS, cli, run
from t3export.commands.cache import read_size
from t3export.failures import failure_of, resumption
from tests.clip_words import clip_tokenizer_file
from tests.toy_bundle import TOKENIZER, WORDS

ROOT = Path(__file__).parents[2]
FLAGSHIP = str(ROOT / "recipes/shape_e_int8.yaml")
LIGHT = (
    ["--help"],
    ["targets", "--json"],
    ["doctor", "--json"],
    ["recipe", "check", FLAGSHIP, "--target", "ios"],
    ["inspect", "--schema"],
)


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verb_has_help_with_examples(verb, capsys):
    assert run([verb, "--help"]) == 0
    told = capsys.readouterr().out
    assert "Example" in told and f"t3export {verb}" in told
    found = cli.get_command(click.Context(cli), verb)
    subcommands = found.commands.values() if isinstance(found, click.Group) else [found]
    assert all(any("--json" in option.opts for option in command.params) for command in subcommands)


def test_the_root_help_shows_the_verbs_in_groups(capsys):
    assert run(["--help"]) == 0
    told = capsys.readouterr().out
    assert re.findall(r"^(\w+):$", told, re.MULTILINE) == ["Options", *GROUPS]
    assert re.findall(r"^  ([a-z]+) {2,}[A-Z]", told, re.MULTILINE) == list(COMMANDS)


def test_no_verb_of_the_base_install_imports_what_it_does_not_have(tmp_path):
    blocked = [
        "torch",
        "diffusers",
        "transformers",
        "onnx",
        "onnxscript",
        "safetensors",
        "scipy",
        "skimage",
        "validate",
    ]
    code = (
        f"import sys\nfor name in {blocked}: sys.modules[name] = None\n"
        f"from t3export.cli import run\nsys.exit(sum(run(arguments) for arguments in {list(LIGHT)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["t3export", "t3export.cli"])
def test_as_a_module_it_is_the_command_line(module):
    done = subprocess.run([sys.executable, "-m", module, "biuld"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "did you mean 'build'" in done.stderr


def test_a_misspelt_verb(capsys):
    assert run(["biuld"]) == 2
    assert "did you mean 'build'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, kind, told",
    [
        (["run", "b", "--prompt", "a", "--json"], "UsageError", "nothing to write"),
        (["build", FLAGSHIP, "--target", "cpu", "--prove", "0", "--json"], "BadParameter", "'--prove'"),
        (["validate", "b", "--promts", "4", "--json"], "NoSuchOption", "--promts"),
    ],
)
def test_a_wrong_command_line_is_told_as_json_too(capsys, arguments, kind, told):
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    error = json.loads(out)["error"]
    assert (error["kind"], error["exit_code"]) == (kind, 2) and told in error["message"] and told in err


def test_a_recipe_shown_is_a_recipe(capsys):
    assert run(["recipe", "show", FLAGSHIP, "--set", "sampler.steps=7", "--weights", "random:shap-e-mini"]) == 0
    shown = Recipe.model_validate(yaml.safe_load(capsys.readouterr().out))
    assert shown.sampler.steps == 7 and shown.model.weights == "random:shap-e-mini"


def test_a_recipe_checked(capsys):
    assert run(["recipe", "check", FLAGSHIP, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["valid"] is True
    assert run(["recipe", "check", FLAGSHIP, "--set", "sampler.scheduler=huen"]) == 2
    assert "did you mean 'heun'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("model: {weights: ./nothing}\n", 3, "mine.yaml:3: model.weights: weights '"),
        (
            "quantization:\n  rules:\n    - {layers: 'renderer/*', precision: int8}\n",
            2,
            "mine.yaml:5: quantization.rules: rule 1: stage 'renderer' has no calibration",
        ),
    ],
)
def test_what_a_build_would_refuse_is_refused_by_check_before_anything_is_loaded(tmp_path, capsys, text, code, told):
    path = tmp_path / "mine.yaml"
    path.write_text(f"extends: {FLAGSHIP}\nname: mine\n{text}")
    for verb in (["recipe", "check"], ["build"]):
        assert run([*verb, str(path)]) == code
        assert told in " ".join(capsys.readouterr().err.split())


def test_a_rule_for_a_stage_that_no_family_has_is_told_with_its_line(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    text = f"extends: {FLAGSHIP}\nname: mine\nquantization:\n  rules:\n"
    path.write_text(text + "    - {layers: 'den*/x', precision: int8}\n    - {layers: 'denoisr/*', precision: int8}\n")
    for verb in (["recipe", "check"], ["build"]):
        assert run([*verb, str(path)]) == 2
        told = " ".join(capsys.readouterr().err.split())
        assert "mine.yaml:6: quantization.rules.1.layers: found 'denoisr/*'" in told
        assert "did you mean 'denoiser'" in told and "rules.0" not in told


def test_a_recipe_is_checked_against_a_target(capsys):
    assert run(["recipe", "check", FLAGSHIP, "--target", "android"]) == 0
    assert run(["recipe", "check", str(ROOT / "recipes/shape_e_int4.yaml"), "--target", "android"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "which target 'android' lacks" in told and "int4_weights: XNNPACK has no product of float" in told
    assert "int8_dynamic is the nearest" in told


def test_no_recipe_is_valid_for_a_planned_target(capsys):
    assert run(["recipe", "check", FLAGSHIP, "--target", "ios-coreml"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "target 'ios-coreml'" in told and "is planned: not built by this version" in told


def test_every_field_of_a_recipe_is_explained(capsys):
    assert run(["recipe", "explain"]) == 0
    told = capsys.readouterr().out
    assert "sampler.steps" in told and "Unit: steps" in told and "Default: diffusers" in told
    assert "None." not in told
    assert run(["recipe", "explain", "sampler"]) == 0
    assert all(line.startswith(("sampler", " ")) or line for line in capsys.readouterr().out.splitlines())
    assert run(["recipe", "explain", "sampler.step"]) == 2
    assert "did you mean 'sampler.steps'" in capsys.readouterr().err
    assert run(["recipe", "explain", "quantization.rules"]) == 0
    told = capsys.readouterr().out
    assert "quantization.rules.layers  Pattern of layer names" in told and "quantization.policy" not in told


@pytest.mark.parametrize(
    ("field", "about"),
    [
        ("validation.sampler.steps", "steps"),
        ("validation.tolerances.int8", "validation.tolerances.*.chamfer Largest mean distance"),
        ("validation.tolerances.int8.stage_snr_db", "Least signal-to-noise ratio of any stage"),
        ("validation.tolerances.*.stage_snr_db", "Least signal-to-noise ratio of any stage"),
    ],
)
def test_what_is_below_an_optional_section_or_a_key_is_explained(capsys, field, about):
    assert run(["recipe", "explain", field]) == 0
    assert about in " ".join(capsys.readouterr().out.split())


def test_one_field_explained_as_data_is_its_own_schema(capsys):
    assert run(["recipe", "explain", "sampler.steps", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["type"] == "integer" and told["maximum"] == 1000 and told["unit"] == "steps"
    assert run(["recipe", "explain", "quantization.rules.layers", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Layers"
    assert run(["recipe", "explain", "mesh", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["$defs"]["MeshSection"]["properties"]["grid"]["default"] == 128
    assert run(["recipe", "explain", "nonsense", "--json"]) == 2
    assert "nonsense: no such field" in capsys.readouterr().err


def test_the_targets(capsys):
    assert run(["targets"]) == 0
    told = capsys.readouterr().out
    assert "cpu" in told and "complete" in told and "tensorrt" in told
    assert run(["targets", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["missing"] == []
    assert run(["targets", "cpuu"]) == 2
    told = capsys.readouterr().err
    assert "target 'cpuu': no such target" in told and "did you mean 'cpu'" in told and "--target" not in told


def test_a_bundle_inspected(toy_bundle, own_bundle, capsys):
    assert run(["inspect", str(toy_bundle)]) == 0
    told = capsys.readouterr().out
    assert "every hash verified" in told and "denoiser" in told and "not validated yet" in told
    assert run(["inspect", str(toy_bundle), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "toy/cpu"
    (own_bundle / "field.onnx").unlink()
    assert run(["inspect", str(own_bundle)]) == 4
    assert "field.onnx: missing" in capsys.readouterr().err
    assert run(["inspect"]) == 2
    capsys.readouterr()
    assert run(["inspect", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == manifest_schema()


def test_a_bundle_inspected_shows_the_words_it_knows_and_prompts_that_work(own_bundle, capsys):
    (own_bundle / TOKENIZER).write_bytes(clip_tokenizer_file(WORDS, begin=1, end=2, unknown="a"))
    manifest = read_manifest(own_bundle)
    recipe = manifest.recipe | {"goldens": {"prompts": ["a red ball", "a ball's shade", "a third"]}}
    write_manifest(own_bundle, manifest.model_copy(update={"files": list_files(own_bundle), "recipe": recipe}))
    assert run(["inspect", str(own_bundle)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "its words: ball, blue, green, nothing, red" in told
    examples = re.findall(r"try (t3export run .*? -o object\.glb)", told)
    assert [shlex.split(example)[-3] for example in examples] == ["a red ball", "a ball's shade"]


def test_a_bundle_says_what_its_weights_were_loaded_from(own_bundle, capsys):
    manifest = read_manifest(own_bundle)
    files = [
        WeightsFilePart(part="shap_e_renderer", name="diffusion_pytorch_model.bin", sha256="5" * 64, size=12_000_000),
        WeightsFilePart(part="prior", name="config.json", sha256="6" * 64, size=10),
    ]
    weights = manifest.weights.model_copy(update={"files": files})
    write_manifest(own_bundle, manifest.model_copy(update={"weights": weights}))
    assert run(["inspect", str(own_bundle)]) == 0
    told = capsys.readouterr().out
    assert "shap_e_renderer: diffusion_pytorch_model.bin, 12.0 MB, sha256 5555555555555555" in told
    assert "config.json" not in told


def test_the_doctor(capsys, monkeypatch):
    assert run(["doctor"]) == 0
    assert "ready" in capsys.readouterr().out
    assert run(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["targets"]["cpu"] == {"status": "complete", "lacks": [], "runs_on": []} and told["problem"] is None


def test_doctor_and_targets_agree_on_what_runs_on_other_hardware(capsys, monkeypatch):
    monkeypatch.setattr("exporter.targets.stand_in._is_here", lambda processor: processor == "cpu")
    monkeypatch.setattr("exporter.targets.target.Need.missing", lambda need: False)
    assert run(["doctor"]) == 0
    doctor = capsys.readouterr().out.splitlines()
    assert run(["targets", "--check"]) == 0
    targets = capsys.readouterr().out.splitlines()

    def told(lines, name, words):
        return any(line.split()[: 1 + len(words)] == [name, *words] for line in lines)

    for name in ("android", "ios", "arm64", "web", "cpu-openvino", "t4"):
        assert told(doctor, name, ["ready", "to", "build"]) and told(targets, name, ["ready", "on:"])
    for name in ("cpu", "cpu-executorch"):
        assert told(doctor, name, ["ready"]) and not told(doctor, name, ["ready", "to"])
        assert told(targets, name, ["ready", "ready"])


def test_without_the_build_packages_nothing_for_other_hardware_runs_here(capsys, monkeypatch):
    monkeypatch.setattr("exporter.targets.stand_in._is_here", lambda processor: processor == "cpu")
    monkeypatch.setattr("exporter.targets.target.Need.missing", lambda need: need.side == "build")
    assert run(["doctor"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    for name in ("android", "ios", "web", "arm64"):
        assert "cannot build" in lines[name] and "runs" not in lines[name] and "not looked for" not in lines[name]
    assert "runs, cannot build" in lines["cpu"]
    assert run(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["targets"]
    assert told["ios"]["runs_on"] == ["iPhone with the ExecuTorch Swift package"] and told["cpu"]["runs_on"] == []
    assert not any("iPhone" in lacking for lacking in told["ios"]["lacks"])


def test_the_doctor_on_two_onnxruntimes(capsys, monkeypatch):
    both = ["onnxruntime", "onnxruntime-gpu"]
    monkeypatch.setattr("t3export.commands.doctor.installed_distributions", lambda: both)
    assert run(["doctor"]) == 6
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in capsys.readouterr().err


def test_the_cache(capsys, monkeypatch, tmp_path):
    from exporter.files.cache import Cache

    monkeypatch.setenv("T3EXPORT_CACHE", str(tmp_path))
    for number in range(3):
        Cache().get("trace", {"number": number}, lambda folder: (folder / "x").write_bytes(b"12345"))
    assert run(["cache", "list"]) == 0
    assert "3 results" in capsys.readouterr().out
    assert run(["cache", "prune", "--older-than", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"deleted": []}
    assert run(["cache", "prune"]) == 0
    assert "deleted 3 results" in capsys.readouterr().out
    assert run(["cache", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"folder": str(tmp_path), "entries": []}


@pytest.mark.parametrize(("text", "size"), [("0", 0), ("500MB", 500 * 10**6), ("1.5 g", 1500 * 10**6), ("7kb", 7000)])
def test_sizes_are_read_as_people_write_them(text, size):
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["", "big", "-1", "3 GiB"])
def test_what_is_no_size(text):
    with pytest.raises(RecipeError, match="500MB"):
        read_size(text)


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (RecipeError("x"), 2, "x"),
        (WeightsError("x"), 3, "x"),
        (HubUnreachable("x"), 3, "x"),
        (BundleError("x"), 4, "x"),
        (ValidationFailed("x"), 5, "x"),
        (ModuleNotFoundError("no", name="torch.nn"), 6, "pip install 't3export[cpu,build]'"),
        (OSError(errno.ENOSPC, "full", "/a/b"), 6, "/a/b: the disk is full"),
        (PermissionError(errno.EACCES, "no", "/a"), 6, "/a: no permission"),
        (OSError(errno.ENAMETOOLONG, "long", "x" * 300), 2, "so long a name"),
        (RuntimeError("Symlink loop from '/a'"), 2, "'/a': a link that leads to itself"),
        (MemoryError(), 6, "not enough memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_become_messages_and_exit_codes(error, code, told):
    failure = failure_of(error)
    assert failure is not None
    assert failure.exit_code == code and told in failure.message


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["build", "my recipe.yaml", "--target", "cpu"], "to go on:  t3export build 'my recipe.yaml' --target cpu"),
        (["build", "x.yaml", "--no-cache"], "to start again:  t3export build x.yaml --no-cache"),
        (["run", "bundle"], "to start again:  t3export run bundle"),
        (
            ["pull", "x", "--from", "https://a/b?sig=s"],
            "t3export pull x --from 'https://a/b (and what is secret in it)'",
        ),
        (["pull", "x", "--from", "https://a/b"], "t3export pull x --from https://a/b"),
    ],
)
def test_an_interrupted_command_says_how_to_go_on(arguments, told):
    assert resumption(arguments).endswith(told)


def test_a_bug_keeps_its_traceback():
    assert failure_of(KeyError("x")) is None
    assert failure_of(ModuleNotFoundError("no", name="exporter.nothing")) is None


def test_a_reader_that_leaves_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m t3export recipe explain --json | head -c 10", shell=True, cwd=ROOT, capture_output=True
    )
    assert not done.stderr and len(done.stdout) == 10
