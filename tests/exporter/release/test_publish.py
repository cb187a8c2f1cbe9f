from __future__ import annotations

import json
import shutil
import subprocess

import pytest
import yaml
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf.json_format import ParseDict
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2

from exporter.errors import BundleError
from exporter.files.atomic import sha256_of
from exporter.manifest import WeightsFilePart, read_manifest, record_verdict, write_manifest
from exporter.release.keys import TrustedKeys
from exporter.release.minisign import PublicKey
from exporter.release.publish import publish
from exporter.release.release_errors import KeyProblem, NoSuchRelease, NotReleasable
from exporter.release.signed import read_index
from exporter.release.stores import FolderStore
from exporter.release.verified import verify
from tests.releasable import KEY, QUALITY, STRANGER, TRUSTED, record, write_releasable


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_release_built_twice_is_identical_byte_for_byte(store, tmp_path):
    for name, steps, channel in (("toy-1.0.0", 3, "stable"), ("toy-1.1.0", 4, "candidate")):
        bundle = write_releasable(tmp_path / name / "cpu", steps)
        publish([bundle], tmp_path / "again" / name, KEY, channel, "mit")
    assert contents(tmp_path / "again") == contents(store)


def test_what_lies_beside_a_bundle_is_not_packed(store, tmp_path):
    bundle = write_releasable(tmp_path / "cpu")
    reports = ("reports/.DS_Store", "reports/Thumbs.db", "reports/.ipynb_checkpoints/report-checkpoint.json")
    for name in (".DS_Store", "__pycache__/verify.pyc", "client/node_modules/a.js", *reports):
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (bundle / name).write_bytes(b"?")
    for name in ("client/link", "reports/link"):
        (bundle / name).symlink_to("/etc/hostname")
    publish([bundle], tmp_path / "again/toy-1.0.0", KEY, "stable", "mit")
    assert contents(tmp_path / "again/toy-1.0.0") == contents(store / "toy-1.0.0")


def test_the_index_has_versions_and_channels(store):
    index = read_index(FolderStore(store), TRUSTED)
    assert set(index.releases["toy"]) == {"1.0.0", "1.1.0"} and index.revision == 2
    assert index.channels["toy"] == {"stable": "1.0.0", "candidate": "1.1.0"}
    assert verify(store, TRUSTED).names == ("toy-1.0.0", "toy-1.1.0")


def test_a_version_that_is_out_never_changes(store, releasable, tmp_path):
    own = shutil.copytree(store, tmp_path / "store")
    other = write_releasable(tmp_path / "cpu", steps=5)
    before = contents(own)
    with pytest.raises(NotReleasable, match="raise the version"):
        publish([other], own / "toy-1.0.0", KEY, "stable", "mit")
    assert contents(own) == before
    published = publish([releasable], own / "toy-1.0.0", KEY, "candidate", "mit")
    assert published.index.channels["toy"] == {"stable": "1.0.0", "candidate": "1.0.0"}
    assert contents(own) | {"index.json": b""} == before | {"index.json": b""}


def test_a_store_of_another_key_is_not_added_to(store, releasable, tmp_path):
    own = shutil.copytree(store, tmp_path / "store")
    with pytest.raises(KeyProblem, match="this key alone"):
        publish([releasable], own / "toy-2.0.0", STRANGER, "stable", "mit")
    (own / "index.json").write_text((own / "index.json").read_text().replace('"stable": "1.0.0"', '"stable": "1.1.0"'))
    with pytest.raises(BundleError, match=r"index\.json: its signature does not fit"):
        publish([releasable], own / "toy-2.0.0", KEY, "stable", "mit")
    assert not (own / "toy-2.0.0").exists()


def test_the_card_says_what_was_measured_and_what_is_known(store):
    _, front, body = (store / "toy-1.0.0/README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front)["license"] == "mit" and yaml.safe_load(front)["pipeline_tag"] == "text-to-3d"
    assert "| bundle | R-Precision: rate | 87.5 % | among 8 captions, 95 % interval 52.9 to 97.8 |" in body
    assert "0 points (at most 2)" in body and "8 prompts x 1 seeds" in body
    assert "No card came with the weights" in body and "## Limits" in body


def test_the_card_quotes_the_weights_own_card(tmp_path):
    bundle = write_releasable(tmp_path / "cpu")
    manifest = read_manifest(bundle)
    source = manifest.weights.model_copy(update={"source": "shap-e-mini"})
    write_manifest(bundle, manifest.model_copy(update={"weights": source}))
    record(bundle, QUALITY)
    publish([bundle], tmp_path / "store/toy-1.0.0", KEY, "stable")
    card = (tmp_path / "store/toy-1.0.0/README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert "procedural objects of 25 shapes" in card and "It knows 25 shapes" in card and "![" not in card


def test_the_card_says_what_the_weights_were_loaded_from(tmp_path):
    bundle = write_releasable(tmp_path / "cpu")
    manifest = read_manifest(bundle)
    file = WeightsFilePart(part="prior", name="model.bin", sha256="5" * 64, size=1)
    weights = manifest.weights.model_copy(update={"files": [file]})
    write_manifest(bundle, manifest.model_copy(update={"weights": weights}))
    record(bundle, QUALITY)
    publish([bundle], tmp_path / "store/toy-1.0.0", KEY, "stable", "mit")
    card = (tmp_path / "store/toy-1.0.0/README.md").read_text()
    assert f"Loaded from: prior from `model.bin` of sha256 `{'5' * 64}`." in card


def test_a_stand_in_is_named_among_the_limits(tmp_path):
    from validate.ladder.report import Report, record_in_bundle

    bundle = write_releasable(tmp_path / "cpu")
    digest = read_manifest(bundle).validation.bundle_digest
    weights = read_manifest(bundle).weights.model_dump()
    report = Report("toy", digest, "toy", "0", weights, "cpu", {}, (QUALITY,), "onnxruntime ran it", machine={})
    record_in_bundle(report, bundle)
    publish([bundle], tmp_path / "store/toy-1.0.0", KEY, "stable", "mit")
    assert (
        "toy/cpu was not measured on its device: onnxruntime ran it"
        in (tmp_path / "store/toy-1.0.0/README.md").read_text()
    )


@pytest.mark.parametrize("license", [None, " "])
def test_an_unknown_licence_is_asked_for(releasable, tmp_path, license):
    with pytest.raises(NotReleasable, match="--license"):
        publish([releasable], tmp_path / "store/toy-1.0.0", KEY, "stable", license)
    assert not (tmp_path / "store").exists()


def test_the_bill_of_materials_is_valid_cyclonedx(store):
    text = (store / "toy-1.0.0/sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = Bom.from_json(json.loads(text))
    names = {component.name: component for component in bill.components}
    assert set(names) == {"toy/cpu", "toy", "onnx"}
    archive = sha256_of(store / "toy-1.0.0/toy/cpu.tar.zst")
    assert [digest.content for digest in names["toy/cpu"].hashes] == [archive]
    assert [license.value for license in names["toy"].licenses] == ["MIT"]


def test_the_provenance_is_an_in_toto_statement_of_slsa(store):
    statement = json.loads((store / "toy-1.0.0/toy/cpu.intoto.json").read_text())
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"][0]["digest"]["sha256"] == sha256_of(store / "toy-1.0.0/toy/cpu.tar.zst")
    predicate = ParseDict(statement["predicate"], provenance_pb2.Provenance())
    assert predicate.build_definition.resolved_dependencies[0].digest["sha256"] == "0" * 64


def test_the_checksums_are_those_of_sha256sum(store):
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=store / "toy-1.0.0", check=True)


def test_a_pulled_bundle_can_be_released_again(store, tmp_path):
    from exporter.release.names import WantedRelease
    from exporter.release.pull import pull

    pulled = pull(WantedRelease.parse("toy"), FolderStore(store), tmp_path / "pulled", TRUSTED)
    published = publish([pulled.installed.folder], tmp_path / "store/toy-1.0.0", KEY, "stable", "mit")
    assert published.release.bundles == pulled.installed.release.bundles


def test_a_recipe_may_be_called_as_the_folder_of_reports(tmp_path):
    bundle = write_releasable(tmp_path / "cpu")
    write_manifest(bundle, read_manifest(bundle).model_copy(update={"name": "reports/cpu"}))
    record(bundle, QUALITY)
    published = publish([bundle], tmp_path / "store/toy-1.0.0", KEY, "stable", "mit")
    assert "reports/cpu.intoto.json" in published.release.documents
    assert "  reports/cpu.tar.zst\n" in (published.folder / "SHA256SUMS").read_text()
    assert verify(tmp_path / "store", TRUSTED)


def test_what_is_no_release_s_folder_or_not_releasable_leaves_nothing(releasable, tmp_path):
    with pytest.raises(NoSuchRelease):
        publish([releasable], tmp_path / "store/toy", KEY, "stable", "mit")
    bundle = shutil.copytree(releasable, tmp_path / "cpu")
    record_verdict(bundle, None)
    with pytest.raises(NotReleasable):
        publish([bundle], tmp_path / "store/toy-1.0.0", KEY, "stable", "mit")
    assert not (tmp_path / "store").exists()


def test_a_stranger_s_release_is_not_verified(store):
    with pytest.raises(KeyProblem, match="not among"):
        verify(store, TrustedKeys((PublicKey.of(STRANGER),), "the given keys"))
