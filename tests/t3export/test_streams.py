from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = shlex.join([sys.executable, "-m", "t3export"])
# One verb prints by each of the ways there are: rich, JSON, and click for help and Markdown.
VERBS = ["targets", "doctor --json", "recipe explain", "recipe show recipes/shape_e_int8.yaml", "run --help"]


def shell(line: str, encoding: str = "utf-8") -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    return subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, env=environment, timeout=60)


@pytest.mark.parametrize("encoding", ["cp932", "cp1251", "cp437", "ascii", "utf-8"])
def test_every_prompt_can_be_told_in_every_encoding(toy_bundle, tmp_path, encoding):
    prompt = "a red ball ³ 椅子 🪑 стул"
    prompts = tmp_path / "p.txt"
    prompts.write_text(f"{prompt}\na blue ball\n", encoding="utf-8")
    line = f"{PROGRAM} run {toy_bundle} --prompts {prompts} -o {tmp_path / '椅.ply'}"
    done = shell(line, encoding)
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    assert sum(".ply" in told for told in done.stdout.decode(encoding).splitlines()) == 2
    done = shell(f"{line} --json", encoding)
    objects = json.loads(done.stdout.decode(encoding))["objects"]
    assert objects[0]["prompt"] == prompt and objects[0]["files"] == [str(tmp_path / "椅_0000.ply")]


@pytest.mark.parametrize("verb", VERBS)
def test_a_reader_that_leaves_ends_the_verb_without_a_word(verb):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*shlex.split(PROGRAM), *verb.split()], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(("to", "why"), [("> /dev/full", "No space left on device"), (">&-", "it is closed")])
def test_results_that_cannot_be_written_are_a_failure(verb, to, why):
    done = shell(f"{PROGRAM} {verb} {to}")
    assert done.returncode == 1
    assert f"the results cannot be written ({why})" in " ".join(done.stderr.decode().split())
    assert b"Traceback" not in done.stderr and b"disk is full" not in done.stderr


@pytest.mark.parametrize("to", ["2> /dev/full", "2>&-"])
def test_notes_that_cannot_be_written_change_nothing(own_bundle, to):
    (own_bundle / "beside.txt").write_text("")
    done = shell(f"{PROGRAM} inspect {own_bundle} --json {to}")
    assert done.returncode == 0 and json.loads(done.stdout)["name"] == "toy/cpu"
    assert shell(f"{PROGRAM} inspect {own_bundle / 'nowhere'} {to}").returncode == 4


def test_with_every_stream_closed_no_file_gets_what_was_meant_for_them(toy_bundle, tmp_path):
    path = tmp_path / "ball.ply"
    done = shell(f"{PROGRAM} run {toy_bundle} --prompt 'a red ball' -o {path} <&- >&- 2>&-")
    assert done.returncode == 1
    assert path.read_bytes().startswith(b"ply") and b"vertices," not in path.read_bytes()
