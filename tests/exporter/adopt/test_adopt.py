"""Bundles of programs that somebody else exported."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest

from exporter.adopt.adopt import adopt
from exporter.adopt.float_bundle import float_bundle
from exporter.errors import BundleError, RecipeError
from exporter.manifest import bundle_digest, read_manifest, require_whole
from exporter.runtime.bundle import Bundle
from exporter.workshop.parity import compare
from tests.foreign_export import edit


@pytest.fixture
def copied(described, tmp_path):
    """A copy of the description with its files, to be changed."""
    return shutil.copytree(described.parent, tmp_path / "export") / described.name


@pytest.mark.parametrize("reference", [False, True])
def test_their_programs_make_what_ours_make(adopted, ours, reference):
    theirs, own = Bundle.open(adopted.out), Bundle.open(ours[reference])
    if reference:
        theirs = float_bundle(theirs.folder, theirs.manifest)
    mesh, expected = (one.generate("a red chair", seed=5) for one in (theirs, own))
    assert not expected.is_empty
    np.testing.assert_array_equal(mesh.vertices, expected.vertices)
    np.testing.assert_array_equal(mesh.faces, expected.faces)


def test_goldens_are_of_the_float_programs(adopted, ours):
    recorded, expected = read_manifest(adopted.out).goldens["prior"], read_manifest(ours[1]).goldens["denoiser"]
    assert [name.rpartition("_")[2] for name in recorded] == [name.rpartition("_")[2] for name in expected]
    for theirs, own in zip(recorded, expected, strict=True):
        with np.load(adopted.out / theirs) as one, np.load(ours[1] / own) as other:
            assert set(one.files) - set(other.files) == {"meaning"}
            for name in ("sample", "previous_sample", "previous_prediction", "prediction", "next_sample"):
                assert compare(other[name], one[name]).snr_db > 80


def test_the_float_files_are_listed_and_hashed(adopted, tmp_path):
    manifest = require_whole(adopted.out)
    assert adopted.digest == bundle_digest(manifest)
    assert manifest.is_adopted and manifest.stages["prior"].float_program.program in manifest.files
    damaged = shutil.copytree(adopted.out, tmp_path / "bundle")
    (damaged / manifest.stages["prior"].float_program.program).write_bytes(b"")
    with pytest.raises(BundleError, match=r"float/prior/program\.onnx: 0 bytes"):
        Bundle.open(damaged)


def test_the_same_export_gives_the_same_bundle(adopted, described, tmp_path):
    assert adopt(described, tmp_path / "again").digest == adopted.digest


def test_what_is_no_bundle_is_left_alone(described, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(BundleError, match="is not a bundle"):
        adopt(described, tmp_path)


PRIOR = ("stages", "prior")
WRONG = {
    "kind": ((*PRIOR, "kind"), "sampler", r"stages.prior.kind: found 'sampler'; .*did you mean 'sample'"),
    "field": ((*PRIOR, "progam"), "x", "stages.prior.progam: unknown field; .*did you mean 'program'"),
    "file": ((*PRIOR, "program"), "deployed/p.onnx", "stages.prior.program: .* is no file"),
    "no onnx": ((*PRIOR, "program"), "words.json", "stages.prior.program: .*is no ONNX program"),
    "port": ((*PRIOR, "ports", "step"), "j", "stages.prior.ports.step: .* has no port 'j'; allowed: .*context"),
    "unnamed port": ((*PRIOR, "ports", "step"), None, "stages.prior.ports: .*has a port 'step'.* `ports: {step: "),
    "other ports": ((*PRIOR, "float_program"), "reference/sdf.onnx", "stages.prior.float_program: "),
    "sampling": ((*PRIOR, "sampling"), None, "stages.prior: a stage of kind sample needs a section `sampling`"),
    "table": ((*PRIOR, "sampling", "table"), None, "stages.prior.sampling: give either `table` or `scheduler_config`"),
    "no table": ((*PRIOR, "sampling", "table"), "words.json", "stages.prior.sampling.table: .*coefficients: Field"),
    "volume": (("stages", "words", "volume"), {"distance": "a", "density": "a", "color": "a"}, "words.volume: only"),
    "precision": ((*PRIOR, "precision"), "int3", "stages.prior.precision: found 'int3'"),
    "tolerances": (("validation", "tolerances", "int8"), None, "stages.prior.precision: validation.tolerances has no"),
    "target": (("target",), "orin", "target: 'orin' runs no ONNX files as they are"),
    "tokenizer": (("inputs", "prompt", "file"), "levels.json", "inputs.prompt.file: .*is no `tokenizers` JSON"),
    "tensor": (("inputs", "prompt", "tensor"), "token", "stage 'words' takes 'tokens'; allowed: .*token"),
    "asset": (("assets", "mesh", "stage"), "nerf", "asset 'mesh' is of a stage of kind field"),
}  # fmt: skip


@pytest.mark.parametrize(("field", "value", "told"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_of_its_field_and_line(copied, tmp_path, field, value, told):
    path = edit(copied, *field, to=value)
    with pytest.raises(RecipeError, match=told) as raised:
        adopt(path, tmp_path / "bundle")
    place = re.match(rf"{re.escape(str(path))}:(\d+): (?:(?:stage|asset) '(\w+)'|([\w.]+))", str(raised.value))
    assert place is not None
    written = path.read_text(encoding="utf-8").splitlines()[int(place[1]) - 1].strip()
    assert written.startswith(f"{place[2] or place[3].rpartition('.')[2]}:")
    assert not (tmp_path / "bundle").exists()
