from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import BundleError, EnvironmentProblem
from exporter.files.atomic import write_atomically
from exporter.manifest import (
    Manifest,
    RungVerdict,
    Verdict,
    bundle_digest,
    list_files,
    manifest_schema,
    read_manifest,
    record_verdict,
    require_whole,
    verify_files,
    write_manifest,
)
from exporter.pipeline.tensor import TensorSpec
from tests.toy_bundle import write_toy_bundle

PUBLISHED = Path(__file__).parents[2] / "docs/manifest.schema.json"


def verdict(manifest: Manifest) -> Verdict:
    rung = RungVerdict(name="stages", passed=True, summary="120 dB of 90 dB")
    return Verdict(passed=True, bundle_digest=bundle_digest(manifest), rungs=[rung])


def test_the_published_schema_is_this_one_and_fits(toy_bundle):
    assert json.loads(PUBLISHED.read_text()) == manifest_schema(), (
        "run: t3export inspect --schema > docs/manifest.schema.json"
    )
    data = json.loads((toy_bundle / "manifest.json").read_text())
    jsonschema.Draft202012Validator(manifest_schema()).validate(data)


def test_two_equal_builds_have_equal_digests_and_bytes(tmp_path):
    first, second = (write_toy_bundle(tmp_path / name) for name in "ab")
    assert bundle_digest(read_manifest(first)) == bundle_digest(read_manifest(second))
    assert (first / "manifest.json").read_bytes() == (second / "manifest.json").read_bytes()


def test_a_verdict_leaves_the_digest_alone(own_bundle):
    before = bundle_digest(read_manifest(own_bundle))
    record_verdict(own_bundle, verdict(read_manifest(own_bundle)))
    after = require_whole(own_bundle)
    assert after.validation is not None and after.validation.passed
    assert bundle_digest(after) == before


def test_every_bad_file_is_named(own_bundle):
    (own_bundle / "field.onnx").unlink()
    (own_bundle / "denoiser.onnx").write_bytes(b"short")
    problems = verify_files(own_bundle, read_manifest(own_bundle))
    assert [problem.split(":")[0] for problem in problems] == ["denoiser.onnx", "field.onnx"]
    with pytest.raises(BundleError, match=r"(?s)denoiser\.onnx.*field\.onnx: missing"):
        require_whole(own_bundle)


def test_a_long_list_of_bad_files_is_cut(own_bundle):
    manifest = read_manifest(own_bundle)
    part = next(iter(manifest.files.values()))
    lost = {f"goldens/{number:04}.npz": part for number in range(1191)}
    write_manifest(own_bundle, manifest.model_copy(update={"files": manifest.files | lost}))
    with pytest.raises(BundleError, match="and 1,171 more") as caught:
        require_whole(own_bundle)
    assert len(str(caught.value).splitlines()) == 23


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname"])
def test_no_file_outside_the_folder_is_part_of_a_bundle(own_bundle, name):
    manifest = read_manifest(own_bundle)
    files = manifest.files | {name: next(iter(manifest.files.values()))}
    assert verify_files(own_bundle, manifest.model_copy(update={"files": files})) == [
        f"{name}: not in the bundle's folder"
    ]


def test_a_file_that_is_used_has_to_be_listed(own_bundle):
    manifest = read_manifest(own_bundle)
    files = {name: part for name, part in manifest.files.items() if name != "field.onnx"}
    assert verify_files(own_bundle, manifest.model_copy(update={"files": files})) == [
        "field.onnx: used, and not listed"
    ]


def test_what_a_system_leaves_in_a_new_folder_is_not_listed(own_bundle):
    """A disk of the network has files .nfs* as long as a deleted file is open; then they are gone."""
    before = list_files(own_bundle)
    for name in (".nfs0001", "._field.onnx", "tokenizer/.DS_Store", "Thumbs.db", "__pycache__/verify.pyc"):
        (own_bundle / name).parent.mkdir(exist_ok=True)
        (own_bundle / name).write_bytes(b"?")
    assert list_files(own_bundle) == before


def test_a_link_to_nothing_is_no_file(own_bundle):
    (own_bundle / "field.onnx").unlink()
    (own_bundle / "field.onnx").symlink_to("elsewhere.onnx")
    assert verify_files(own_bundle, read_manifest(own_bundle)) == ["field.onnx: a link to nothing"]


@given(data=st.data())
def test_a_flipped_bit_of_the_manifest_is_found_or_changes_nothing(toy_bundle, tmp_path_factory, data):
    content = bytearray((toy_bundle / "manifest.json").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    folder = tmp_path_factory.mktemp("flipped")
    (folder / "manifest.json").write_bytes(content)
    try:
        assert read_manifest(folder) == read_manifest(toy_bundle)
    except BundleError as error:
        assert "manifest.json" in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"checksum": 1}',
        "\x00",
        '{"schema_version": 2, "checksum": ""}',
        '{"schema_version": 3, "checksum": ""}',
    ],
)
def test_what_is_no_manifest(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json") as caught:
        read_manifest(tmp_path)
    assert ("no JSON object" in str(caught.value)) is (text in ("[]", "null"))


@pytest.mark.parametrize("version", [1, 7])
def test_a_bundle_of_another_schema_version_says_so(own_bundle, version):
    path = own_bundle / "manifest.json"
    path.write_text(path.read_text().replace('"schema_version": 2', f'"schema_version": {version}'))
    told = f"schema version {version}; this t3export reads version 2. Build the bundle again"
    with pytest.raises(BundleError, match=told):
        read_manifest(own_bundle)


@pytest.mark.parametrize(
    ("stage", "changes", "told"),
    [
        ("denoiser", {"sampling": None}, "of kind sample, and it has no sampling"),
        ("projector", {"kind": "sample"}, "of kind sample, and it has no sampling"),
        ("denoiser", {"kind": "map"}, "of kind map, and it has a sampling"),
        ("projector", {"inputs": []}, "stage 'projector' of kind map takes nothing"),
        ("projector", {"outputs": []}, "stage 'projector' makes nothing"),
        ("renderer", {"inputs": []}, "stage 'renderer' of kind render has no input with a size 'rays'"),
        ("field", {"volume": None}, "asset 'mesh' is of stage 'field', which declares no volume"),
        ("text_encoder", {"inputs": [TensorSpec("ids", "int64", ("batch", 6))]}, "'text_encoder' takes 'ids'"),
    ],
)
def test_a_pipeline_that_cannot_run_is_no_manifest(own_bundle, stage, changes, told):
    manifest = read_manifest(own_bundle)
    changed = manifest.stages[stage].model_copy(update=changes)
    write_manifest(own_bundle, manifest.model_copy(update={"stages": manifest.stages | {stage: changed}}))
    with pytest.raises(BundleError, match=f"(?s)manifest.json: not a manifest this t3export can read.*{told}"):
        read_manifest(own_bundle)


def test_numbers_of_an_input_that_no_tokenizer_takes_are_refused(own_bundle):
    manifest = read_manifest(own_bundle)
    for wrong in ({"length": 2**31}, {"pad_id": 2**32}):
        source = manifest.inputs["prompt"].model_copy(update=wrong)
        write_manifest(own_bundle, manifest.model_copy(update={"inputs": {"prompt": source}}))
        with pytest.raises(BundleError, match=f"(?s)inputs.prompt.*{next(iter(wrong))}"):
            read_manifest(own_bundle)


def test_a_folder_that_is_no_bundle(tmp_path):
    with pytest.raises(BundleError, match="not a bundle"):
        require_whole(tmp_path)


def test_what_is_no_bundle_says_where_bundles_are(toy_bundle, tmp_path):
    shutil.copytree(toy_bundle, tmp_path / "toy/cpu")
    with pytest.raises(BundleError, match=r"no manifest\.json\. There are bundles in it: .*toy/cpu$"):
        read_manifest(tmp_path / "toy")
    with pytest.raises(BundleError, match="there is no such folder"):
        read_manifest(tmp_path / "absent")


words = st.text(max_size=12)


@given(
    name=words,
    recipe=st.dictionaries(words, words | st.integers() | st.floats(allow_nan=False, allow_infinity=False)),
    source=words,
)
def test_a_manifest_written_and_read_again_is_the_same(toy_bundle, tmp_path_factory, name, recipe, source):
    original = read_manifest(toy_bundle)
    weights = original.weights.model_copy(update={"source": source})
    changed = original.model_copy(update={"name": name, "recipe": recipe, "weights": weights})
    folder = tmp_path_factory.mktemp("again")
    write_manifest(folder, changed)
    assert read_manifest(folder) == changed


def test_a_full_disk_leaves_nothing_and_keeps_the_old(tmp_path, monkeypatch):
    path = tmp_path / "mesh.glb"
    path.write_bytes(b"old")

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as stream:
            stream.write(content[:2])
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(EnvironmentProblem, match=r"mesh\.glb: cannot be written \(No space left on device\)"):
        write_atomically(path, b"new content")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(self: Path, content: bytes) -> int:
        with self.open("wb") as stream:
            stream.write(content[:2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "mesh.glb", b"new content")
    assert not list(tmp_path.iterdir())
