from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import trimesh
from PIL import Image

from exporter.runtime.assets import optional, postprocess
from exporter.runtime.assets.meshfile import save_mesh
from exporter.runtime.bundle import Bundle
from t3export.cli import run
from tests.toy_bundle import write_toy_bundle
from validate.judge.prompts import shipped_prompts

ROOT = Path(__file__).parents[2]


def welded(path: Path) -> trimesh.Trimesh:
    """The mesh of a file without the seams of its texture."""
    read = trimesh.load(path, force="mesh")
    read.merge_vertices(merge_tex=True, merge_norm=True)
    return read


def test_a_mesh_a_turntable_and_a_picture(toy_bundle, tmp_path, capsys):
    mesh, gif, png = (tmp_path / name for name in ("ball.glb", "ball.gif", "ball.png"))
    arguments = ["run", str(toy_bundle), "--prompt", "a red ball", "-o", str(mesh)]
    assert run([*arguments, "--turntable", str(gif), "--image", str(png), "--pixels", "24"]) == 0
    assert welded(mesh).is_watertight
    assert Image.open(gif).n_frames > 1 and Image.open(gif).size == (24, 24)
    assert Image.open(png).size == (24, 24)
    assert "ball.glb" in capsys.readouterr().out


def test_json_is_one_document_on_stdout(toy_bundle, tmp_path, capsys):
    path = tmp_path / "ball.ply"
    assert run(["run", str(toy_bundle), "--prompt", "a red ball", "--seed", "4", "-o", str(path), "--json"]) == 0
    (made,) = json.loads(capsys.readouterr().out)["objects"]
    assert made["files"] == [str(path)] and made["seed"] == 4 and made["triangles"] > 100


def test_the_same_command_writes_the_same_bytes(toy_bundle, tmp_path):
    for name in "ab":
        run(["run", str(toy_bundle), "--prompt", "a blue ball", "-o", str(tmp_path / f"{name}.glb")])
    assert (tmp_path / "a.glb").read_bytes() == (tmp_path / "b.glb").read_bytes()


def test_a_thousand_prompts_from_a_file(toy_bundle, tmp_path, capsys):
    prompts = tmp_path / "prompts.txt"
    lines = [f"a red ball {i}\n\n  ein grüner 椅子 ball 🪑 {i} \n" for i in range(500)]
    prompts.write_text("# balls\n" + "".join(lines), encoding="utf-8")
    output = tmp_path / "out/ball.ply"
    assert run(["run", str(toy_bundle), "--prompts", str(prompts), "-o", str(output), "--grid", "8", "--json"]) == 0
    objects = json.loads(capsys.readouterr().out)["objects"]
    assert len(objects) == 1000 == len(list(output.parent.iterdir()))
    assert objects[999]["files"] == [str(tmp_path / "out/ball_0999.ply")]
    assert objects[1]["prompt"] == "ein grüner 椅子 ball 🪑 0"


def test_prompts_of_a_json_file_and_of_the_shipped_ones(toy_bundle, tmp_path, capsys):
    (tmp_path / "p.json").write_text('{"full": ["a red ball", {"text": "a blue ball"}], "under_specified": ["a ball"]}')
    shipped = [prompt.text for prompt in shipped_prompts().full]
    for given, made in ((str(tmp_path / "p.json"), ["a red ball", "a blue ball", "a ball"]), ("2", shipped[:2])):
        output = str(tmp_path / "ball.ply")
        run(["run", str(toy_bundle), "--prompts", given, "-o", output, "--grid", "8", "--json"])
        assert [one["prompt"] for one in json.loads(capsys.readouterr().out)["objects"]] == made


def test_every_line_of_a_file_is_an_object(toy_bundle, tmp_path, capsys):
    (tmp_path / "p.txt").write_text("a red ball\n# a comment\n#1 ball\na red ball\n")
    output = str(tmp_path / "ball.ply")
    run(["run", str(toy_bundle), "--prompts", str(tmp_path / "p.txt"), "-o", output, "--grid", "8", "--json"])
    made = json.loads(capsys.readouterr().out)["objects"]
    assert [one["prompt"] for one in made] == ["a red ball", "#1 ball", "a red ball"]
    assert made[2]["files"] == [str(tmp_path / "ball_0002.ply")]


def test_a_texture_is_baked_by_default_and_told_with_its_cost(toy_bundle, tmp_path, capsys):
    path = tmp_path / "ball.glb"
    arguments = ["run", str(toy_bundle), "--prompt", "a red ball", "--seed", "3", "-o", str(path)]
    assert run([*arguments, "--texture", "128"]) == 0
    assert "texture 128²: " in capsys.readouterr().out
    assert trimesh.load(path, force="mesh").visual.material.baseColorTexture.getpixel((64, 64)) == (255, 0, 0)
    assert run([*arguments, "--triangles", "200", "--json"]) == 0
    (made,) = json.loads(capsys.readouterr().out)["objects"]
    assert made["triangles"] <= 200 < made["texture"]["of_triangles"] and made["texture"]["normal_map"]
    assert made["texture"]["size"] == 512 and made["texture"]["field_points"] > 10_000


def test_a_mesh_for_printing_is_told_with_its_shape_and_size(toy_bundle, tmp_path, capsys):
    path = tmp_path / "ball.ply"
    arguments = ["run", str(toy_bundle), "--prompt", "a red ball", "--seed", "3", "-o", str(path), "--size", "80mm"]
    assert run([*arguments, "--watertight", "--drop-parts", "1%", "--triangles", "500"]) == 0
    told = capsys.readouterr().out
    assert "closed (0 holes filled, 0 edges taken apart), 1 component (0 dropped), genus 0, " in told
    assert run([*arguments, "--json"]) == 0
    (made,) = json.loads(capsys.readouterr().out)["objects"]
    assert (made["open_edges"], made["components"], made["genus"], made["closed"]) == (0, 1, 0, True)
    assert max(made["size_mm"]) == pytest.approx(80) and made["volume_cm3"] == pytest.approx(268, rel=0.03)
    assert max(trimesh.load(path).extents) == pytest.approx(0.08, rel=1e-5)


def test_every_file_of_a_format_is_listed_and_numbered(toy_bundle, tmp_path, capsys):
    arguments = ["--prompt", "a red ball", "--prompt", "a blue ball", "-o", str(tmp_path / "x.obj"), "--texture", "64"]
    assert run(["run", str(toy_bundle), *arguments, "--json"]) == 0
    objects = json.loads(capsys.readouterr().out)["objects"]
    for number, made in enumerate(objects):
        names = [f"x_{number:04d}{end}" for end in (".obj", ".png", ".mtl")]
        assert made["files"] == [str(tmp_path / name) for name in names]
    assert len(list(tmp_path.iterdir())) == 6


def test_what_lacks_a_package_is_refused_before_anything_runs(toy_bundle, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(optional, "is_installed", lambda *packages: False)
    monkeypatch.setattr(Bundle, "open", lambda *given, **named: pytest.fail("the bundle was opened"))
    for given in (["x.usdz"], ["x.3mf"], ["x.ply", "--triangles", "9"], ["x.stl", "--watertight"]):
        name, *more = given
        assert run(["run", str(toy_bundle), "--prompt", "a red ball", "-o", str(tmp_path / name), *more]) == 6
        assert "pip install 't3export[" in capsys.readouterr().err


def test_no_texture_is_the_file_of_the_mesh_as_it_is(toy_bundle, tmp_path):
    path, same = tmp_path / "a.glb", tmp_path / "b.glb"
    arguments = ["--prompt", "a red ball", "--seed", "3", "-o", str(path), "--texture", "none"]
    assert run(["run", str(toy_bundle), *arguments]) == 0
    save_mesh(Bundle.open(toy_bundle).generate("a red ball", seed=3).mesh, same)
    assert path.read_bytes() == same.read_bytes()


def test_without_the_extra_the_colours_go_to_the_vertices_and_one_line_says_so(
    toy_bundle, tmp_path, capsys, monkeypatch
):
    for module in (optional, postprocess):  # the toy's tokenizer is of another kind than CLIP's
        monkeypatch.setattr(module, "is_installed", lambda *packages: packages == ("tokenizers",))
    arguments = ["run", str(toy_bundle), "--prompt", "a red ball", "-o", str(tmp_path / "x.glb")]
    assert run(arguments) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "texture" in line]
    assert line.endswith("`pip install 't3export[mesh]'`")
    assert "COLOR_0" in str((tmp_path / "x.glb").read_bytes()[:4000])
    assert run([*arguments, "--texture", "256"]) == 6
    assert "t3export[mesh]" in capsys.readouterr().err


def test_exact_and_coarse_to_fine_agree_here(toy_bundle, tmp_path):
    for name, more in (("a", []), ("b", ["--exact"])):
        run(
            [
                "run",
                str(toy_bundle),
                "--prompt",
                "a red ball",
                "-o",
                str(tmp_path / f"{name}.ply"),
                "--grid",
                "32",
                *more,
            ]
        )
    assert (tmp_path / "a.ply").read_bytes() == (tmp_path / "b.ply").read_bytes()


def test_the_share_of_points_and_what_cannot_be_missed_are_told(toy_bundle, tmp_path, capsys):
    arguments = ["run", str(toy_bundle), "--prompt", "a red ball", "-o", str(tmp_path / "x.ply"), "--quality", "draft"]
    assert run(arguments) == 0
    told = capsys.readouterr()
    assert "% of 64³ points asked" in told.out and told.err.count("under 6 % of the volume's width") == 1
    assert "--exact looks everywhere" in told.err and "diameter" not in told.err and "steep" not in told.err
    assert run([*arguments, "--explain"]) == 0
    assert "a ball of diameter 0.110 (the volume is 2 wide)" in capsys.readouterr().err
    assert run([*arguments, "--json"]) == 0
    (made,) = json.loads(capsys.readouterr().out)["objects"]
    assert made["sampled"]["grid"] == 64 and made["sampled"]["certain"] == pytest.approx(0.11, abs=0.001)
    assert made["sampled"]["share"] == made["sampled"]["points"] / 64**3 < 1
    assert run([*arguments, "--exact"]) == 0
    told = capsys.readouterr()
    assert "100.0% of 64³ points asked" in told.out and "missed" not in told.err


def test_a_prompt_of_which_no_word_is_known_is_said_so(toy_bundle, tmp_path, capsys):
    for prompt, known in (("a zebra!", False), ("a zebra ball", True)):
        assert run(["run", str(toy_bundle), "--prompt", prompt, "-o", str(tmp_path / "x.stl"), "--grid", "8"]) in (0, 1)
        assert ("knows none of these words" in capsys.readouterr().err) is not known
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            Bundle.open(toy_bundle).generate(prompt, grid=8)
        assert any("knows none of these words" in str(one.message) for one in warned) is not known


def test_a_prompt_as_long_as_a_book_is_not_printed_whole(toy_bundle, tmp_path, capsys):
    assert run(["run", str(toy_bundle), "--prompt", "zebra " * 9999, "-o", str(tmp_path / "x.stl"), "--grid", "8"]) in (
        0,
        1,
    )
    told = capsys.readouterr().err
    assert "longer than the context" in told and "knows none of these words" in told and len(told) < 2000


@pytest.mark.parametrize("place", ["folder.glb", "file/x.glb"])
def test_a_place_that_cannot_be_written_is_said_before_anything_is_made(
    toy_bundle, tmp_path, monkeypatch, capsys, place
):
    (tmp_path / "folder.glb").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.setattr("t3export.commands.run.made_objects", lambda *_: pytest.fail("made"))
    assert run(["run", str(toy_bundle), "--prompt", "a red ball", "-o", str(tmp_path / place)]) == 6
    assert "cannot be written" in capsys.readouterr().err


def test_a_long_prompt_is_cut_and_said_so(toy_bundle, tmp_path, capsys):
    prompt = "a red ball a blue green"
    assert run(["run", str(toy_bundle), "--prompt", prompt, "-o", str(tmp_path / "x.glb"), "--json"]) == 0
    captured = capsys.readouterr()
    assert "'blue green'" in captured.err
    assert json.loads(captured.out)["objects"][0]["cut_off"] == "blue green"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--prompt", "", "-o", "x.glb"], "--prompt is empty"),
        (["--prompt", " \t", "-o", "x.glb"], "--prompt is empty"),
        (["-o", "x.glb"], "give --prompt TEXT"),
        (["--prompt", "a ball"], "nothing to write"),
        (["--prompt", "a ball", "-o", "x.gltx"], "did you mean '.gltf'"),
        (["--prompt", "a ball", "--turntable", "x.mp4"], "written as a .gif"),
        (["--prompt", "a ball", "--image", "x.jpg"], "written as a .png"),
        (["--prompt", "a \udcff ball", "-o", "x.glb"], "not valid Unicode"),
        (["--prompts", "nowhere.txt", "-o", "x.glb"], "nowhere.txt: no such file"),
        (["--prompts", "99999", "-o", "x.glb"], "fully specified captions"),
        (["--prompt", "a ball", "-o", "x.glb", "--grid", "4"], "8<=x<=512"),
        (["--prompt", "a ball", "-o", "x.glb", "--seed", "-1"], "0<=x"),
        (["--prompt", "a ball", "-o", "x.glb", "--quality", "best"], "'draft', 'normal', 'fine'"),
        (["--prompt", "a ball", "-o", "x.glb", "--quality", "fine", "--grid", "64"], "not both"),
        (["--prompt", "a ball", "-o", "x.ply", "--texture", "512"], "a '.ply' file carries no texture"),
        (["--prompt", "a ball", "-o", "x.glb", "--texture", "9"], "neither 'none' nor from 64 to 4096 pixels"),
        (["--prompt", "a ball", "-o", "x.glb", "--triangles", "3"], "x>=4"),
        (["--prompt", "a ball", "-o", "x.glb", "--size", "80"], "as in 80mm; pictures have --pixels"),
        (["--prompt", "a ball", "-o", "x.glb", "--size", "0mm"], "no length with a unit"),
        (["--prompt", "a ball", "-o", "x.glb", "--size", "3 miles"], "(mm, cm, m, in)"),
        (["--prompt", "a ball", "-o", "x.glb", "--drop-parts", "5"], "no share below the whole"),
        (["--prompt", "a ball", "-o", "x.glb", "--drop-parts", "some"], "as in 1% or 0.01"),
        (["--prompt", "a ball", "--image", "x.png", "--triangles", "9"], "--triangles is for a mesh file: give -o"),
        (["--prompt", "a ball", "-o", "x.glb", "--up", "z"], "y is up, by its specification"),
        (["--prompt", "a ball", "-o", "x.obj", "--compress"], "a '.obj' file is not written compressed; .glb is"),
        (["--prompt", "a ball", "--image", "x.png", "--compress"], "--compress is for a mesh file: give -o"),
        (["--promt", "a ball"], "--prompt"),
    ],
)
def test_bad_input_is_told_with_exit_code_2(toy_bundle, capsys, arguments, told):
    assert run(["run", str(toy_bundle), *arguments]) == 2
    assert told in capsys.readouterr().err


def test_a_file_without_prompts(toy_bundle, tmp_path, capsys):
    (tmp_path / "p.txt").write_text("\n \n")
    assert run(["run", str(toy_bundle), "--prompts", str(tmp_path / "p.txt"), "-o", "x.glb"]) == 2
    assert "no caption found" in capsys.readouterr().err


def test_an_empty_field_is_told_and_nothing_is_written(toy_bundle, tmp_path, capsys):
    assert run(["run", str(toy_bundle), "--prompt", "nothing", "-o", str(tmp_path / "x.glb")]) == 1
    assert "1 of 1 prompts gave an empty field" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_one_empty_field_does_not_stop_the_others(toy_bundle, tmp_path, capsys):
    arguments = ["--prompt", "nothing", "--prompt", "a red ball", "-o", str(tmp_path / "x.glb"), "--json"]
    assert run(["run", str(toy_bundle), *arguments]) == 1
    first, second = json.loads(capsys.readouterr().out)["objects"]
    assert first["empty"] and not first["files"]
    assert second["files"] == [str(tmp_path / "x_0001.glb")]


def test_a_flipped_byte_is_told_with_exit_code_4(own_bundle, tmp_path, capsys):
    data = bytearray((own_bundle / "field.onnx").read_bytes())
    data[100] ^= 1
    (own_bundle / "field.onnx").write_bytes(data)
    arguments = ["run", str(own_bundle), "--prompt", "a ball", "-o", str(tmp_path / "x.glb")]
    assert run(arguments) == 4
    assert "field.onnx: changed" in capsys.readouterr().err
    assert run([*arguments, "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["error"]["exit_code"] == 4


def test_no_renderer_means_a_picture_of_the_mesh(tmp_path, capsys):
    bundle = write_toy_bundle(tmp_path / "bundle", unroll="full")
    assert run(["run", str(bundle), "--prompt", "a red ball", "--image", str(tmp_path / "x.png")]) == 0
    assert "no renderer" in capsys.readouterr().err
    assert Image.open(tmp_path / "x.png").convert("L").getextrema()[0] < 200


def test_a_file_that_cannot_be_finished_leaves_nothing(toy_bundle, tmp_path):
    """A limit on the size of files stands for a full disk: the same write fails half-way."""
    code = (
        "import resource, sys; from t3export.cli import run; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
        f"sys.exit(run(['run', {str(toy_bundle)!r}, '--prompt', 'a red ball', '-o', {str(tmp_path / 'x.glb')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 6
    assert "x.glb: cannot be written" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_interrupt_ends_with_130_and_whole_files_only(toy_bundle, tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("".join(f"a red ball {i}\n" for i in range(5000)))
    output = tmp_path / "out"
    command = ["run", str(toy_bundle), "--prompts", str(prompts), "-o", str(output / "x.glb"), "--grid", "48"]
    process = subprocess.Popen(
        [sys.executable, "-m", "t3export", *command],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        # Tests that run in a shell's background inherit an interrupt that is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (output.is_dir() and len(list(output.glob("*.glb"))) > 2):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in told and "Traceback" not in told
    assert not list(output.glob(".*"))
    for path in output.iterdir():
        assert welded(path).is_watertight
