"""Other quantizers, played by scripts of a few lines in this very environment."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from exporter.errors import EnvironmentProblem
from exporter.files.cache import Cache
from exporter.manifest import bundle_digest, read_manifest, require_whole
from exporter.runtime.bundle import Bundle
from tests.toy_bundle import write_toy_bundle
from validate.peers import environment as environments
from validate.peers import quantize as quantizing
from validate.peers.bundle import with_programs
from validate.peers.environment import environment, last_words
from validate.peers.files import files_of
from validate.peers.peer import SCRIPTS, Peer, peers
from validate.peers.quantize import PeerFailed, quantize
from validate.table import make
from validate.table.peer_rows import peer_bundle

COPY = "import shutil, sys; shutil.copyfile(sys.argv[1], sys.argv[2]); open('seen.txt', 'w').write(' '.join(sys.argv))"
FAIL = "import sys; print('much talk', file=sys.stderr); raise IndexError('list index out of range')"
ONLY_TEXT = f"import sys\nif 'text_encoder' not in sys.argv[1]: raise TypeError('no such operator')\n{COPY}"


@pytest.fixture
def peer(tmp_path, monkeypatch):
    """Makes a peer out of a script's text; it runs where these tests run."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "recorded.py").write_text("")
    monkeypatch.setattr(quantizing, "SCRIPTS", scripts)
    monkeypatch.setattr(quantizing, "environment", lambda install, beside: Path(sys.executable))

    def make(script):
        (scripts / "own.py").write_text(script)
        return Peer(name="own", title="own", script="own.py", precision="int8", install=[["nothing"]])

    return make


@pytest.fixture
def program(tmp_path):
    folder = write_toy_bundle(tmp_path / "bundle")
    return folder / "text_encoder.onnx"


def test_every_shipped_peer_has_a_script_and_pinned_packages():
    for peer in peers():
        assert (SCRIPTS / peer.script).is_file()
        assert "==" in peer.install[-1][0]
        first = peer.install[0]
        assert peer.name not in ("olive", "model_optimizer") or first == ["torch==2.13.0"]


def test_a_program_goes_through_once(peer, program, tmp_path):
    cache, shards = Cache(tmp_path / "cache"), [tmp_path / "a.npz", tmp_path / "b.npz"]
    for shard in shards:
        np.savez(shard, input_ids=np.zeros((1, 6), np.int64), prompts=np.array(["a"]))
    made = quantize(peer(COPY), program, shards, cache)
    assert made.read_bytes() == program.read_bytes()
    assert (made.parent / "seen.txt").read_text().split()[-2:] == [str(shard) for shard in shards]
    written = (made.parent / "seen.txt").stat().st_mtime_ns
    assert quantize(peer(COPY), program, shards, cache) == made
    assert (made.parent / "seen.txt").stat().st_mtime_ns == written
    assert quantize(peer(COPY + "\n"), program, shards, cache) != made


def test_no_peer_sends_anything_to_its_makers(peer, program, tmp_path):
    script = (
        "import os, sys; open(sys.argv[2], 'w').write(os.environ['NNCF_CI'] + os.environ['OLIVE_DISABLE_TELEMETRY'])"
    )
    assert quantize(peer(script), program, [], Cache(tmp_path / "cache")).read_text() == "11"


def test_what_has_to_be_known_of_a_peer_stands_beside_its_row(monkeypatch):
    known = {one.name: one for one in peers()}
    assert "nncf" in known and "TensorRT folds" in known["model_optimizer"].note
    monkeypatch.setattr(make, "peer_bundle", lambda *_: (None, "projector left in fp32 (IndexError)"))
    monkeypatch.setattr(make.MeasuredRows, "measured", lambda self, result, bundle: result)
    rows = make.MeasuredRows(None, Path(), None, None, {})
    told = rows._peer(known["model_optimizer"], None, Path()).note
    assert told.startswith("its weights stay floats") and told.endswith("; projector left in fp32 (IndexError)")
    assert rows._peer(known["nncf"], None, Path()).note == "projector left in fp32 (IndexError)"


def test_a_peer_that_fails_says_its_last_words(peer, program, tmp_path):
    with pytest.raises(PeerFailed, match=r"^IndexError: list index out of range$"):
        quantize(peer(FAIL), program, [], Cache(tmp_path / "cache"))
    with pytest.raises(PeerFailed, match="no message"):
        quantize(peer("pass"), program, [], Cache(tmp_path / "cache"))


@pytest.fixture
def shards(tmp_path):
    """One recorded input of each stage of the toy bundle."""
    latents = np.zeros((1, 2, 4), np.float32)
    recorded = {
        "text_encoder": {"input_ids": np.zeros((1, 6), np.int64)},
        "denoiser": {
            "sample": latents, "previous_sample": latents, "previous_prediction": latents,
            "embedding": np.zeros((1, 8), np.float32), "step": np.array(0),
        },
        "projector": {"latents": latents},
    }  # fmt: skip
    folder = tmp_path / "shards"
    folder.mkdir()
    for stage, inputs in recorded.items():
        np.savez(folder / f"{stage}_0000.npz", prompts=np.array(["a"]), **inputs)
    return folder


def test_a_stage_it_cannot_do_stays_as_it_is_and_is_told(peer, toy_bundle, shards, tmp_path):
    cache = Cache(tmp_path / "cache")
    bundle, note = peer_bundle(peer(ONLY_TEXT), Bundle.open(toy_bundle), shards, tmp_path / "out", cache)
    assert note == (
        "denoiser left in fp32 (TypeError: no such operator); projector left in fp32 (TypeError: no such operator)"
    )
    stages = bundle.manifest.stages
    assert {name for name, stage in stages.items() if stage.precision == "int8"} == {"text_encoder"}
    assert len(bundle.generate("a red ball").vertices)


def test_a_peer_that_can_do_nothing_has_a_reason(peer, toy_bundle, shards, tmp_path):
    with pytest.raises(PeerFailed, match="list index out of range"):
        peer_bundle(peer(FAIL), Bundle.open(toy_bundle), shards, tmp_path / "out", Cache(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("for node in model.graph.node: node.op_type = 'Unheard'", "cannot open it: .*Unheard"),
        ("model.graph.input[0].type.tensor_type.elem_type = 6", "Unexpected input data type"),
    ],
)
def test_a_program_that_does_not_run_is_the_peers_failure(change, told, peer, toy_bundle, shards, tmp_path):
    script = f"import onnx, sys\nmodel = onnx.load(sys.argv[1])\n{change}\nonnx.save(model, sys.argv[2])"
    with pytest.raises(PeerFailed, match=told):
        peer_bundle(peer(script), Bundle.open(toy_bundle), shards, tmp_path / "out", Cache(tmp_path / "cache"))


def test_a_bundle_with_other_programs_is_whole_and_the_first_untouched(toy_bundle, tmp_path):
    before = bundle_digest(read_manifest(toy_bundle))
    model = onnx.load(toy_bundle / "text_encoder.onnx")
    (tmp_path / "other").mkdir()
    program = tmp_path / "other" / "program.onnx"
    onnx.save(model, program, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert [path.name for path in files_of(program)] == ["program.onnx", "weights.bin"]
    manifest = with_programs(toy_bundle, {"text_encoder": program}, "toy by own", "int8", tmp_path / "out")
    assert require_whole(tmp_path / "out") == manifest
    part = manifest.stages["text_encoder"]
    assert part.external_data == ["text_encoder/weights.bin"]
    assert part.size == sum(path.stat().st_size for path in files_of(program))
    assert manifest.name == "toy by own" and bundle_digest(require_whole(toy_bundle)) == before
    sides = [Bundle.open(folder).make({"prompt": "red"})["embedding"] for folder in (tmp_path / "out", toy_bundle)]
    assert np.array_equal(*sides)


def test_a_package_that_cannot_be_installed_is_told(tmp_path):
    nowhere = str(tmp_path / "nowhere-1.0.whl")
    with pytest.raises(EnvironmentProblem, match=r"pip install --no-index .*nowhere.*: ERROR"):
        environment([["--no-index", nowhere]], tmp_path)
    assert not list(tmp_path.glob("environments/*/installed.json"))


def test_an_environment_is_made_once_and_a_half_made_one_again(tmp_path, monkeypatch):
    made, installed = [], []

    def pip(python, arguments):
        installed.append(arguments)
        if len(installed) == 1:
            raise EnvironmentProblem("the network is away")

    monkeypatch.setattr(
        environments.venv, "create", lambda folder, with_pip: (made.append(folder), folder.mkdir(parents=True))
    )
    monkeypatch.setattr(environments, "_pip", pip)
    with pytest.raises(EnvironmentProblem, match="away"):
        environment([["torch"], ["peer"]], tmp_path)
    first = environment([["torch"], ["peer"]], tmp_path)
    assert environment([["torch"], ["peer"]], tmp_path) == first and len(made) == 2
    assert installed == [["torch"], ["torch"], ["peer"]]
    assert environment([["other"]], tmp_path) != first


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("ERROR: No matching distribution found for x\nnotice: a new pip\n", "ERROR: No matching distribution"),
        ("Traceback\n  File\nValueError: wrong\n\n", "ValueError: wrong"),
        ("", "no message"),
        ("x" * 500, "x" * 200),
    ],
)
def test_last_words(output, words):
    assert last_words(output).startswith(words) and len(last_words(output)) <= 200
