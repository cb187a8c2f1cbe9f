"""How a bundle came to be, as an in-toto statement with SLSA's provenance predicate (https://slsa.dev/spec/v1.0)."""

from __future__ import annotations

import json

from google.protobuf.json_format import MessageToDict
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement

from exporter.release.gate import Proved
from exporter.release.statement import Archive

PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:t3export:build:v1"
BUILDER = "urn:t3export:builder:local"


def provenance(bundle: Proved, archive: Archive) -> bytes:
    """The statement about one archive as JSON: from which recipe, weights and packages, by which builder.

    It claims SLSA's build level 1: it is complete and signed with the release, but nobody else than the publisher
    vouches for the machine.
    """
    manifest = bundle.manifest
    subject = ResourceDescriptor(name=archive.file, digest={"sha256": archive.sha256})
    weights = {"name": f"weights {manifest.weights.source}", "digest": {"sha256": manifest.weights.digest}}
    packages = [{"name": name, "uri": _package(name, version)} for name, version in sorted(manifest.toolchain.items())]
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"recipe": manifest.recipe, "target": manifest.target["name"]},
            "internalParameters": {"recipeDigest": manifest.recipe_digest, "bundleDigest": archive.bundle_digest},
            "resolvedDependencies": [weights, *packages],
        },
        "runDetails": {
            "builder": {"id": BUILDER, "version": {"t3export": manifest.toolchain.get("t3export", "unknown")}},
            "metadata": {"invocationId": archive.bundle_digest},
        },
    }
    statement = Statement([subject.pb], PREDICATE, predicate)
    statement.validate()
    return f"{json.dumps(MessageToDict(statement.pb), indent=1, sort_keys=True, ensure_ascii=False)}\n".encode()


def _package(name: str, version: str) -> str:
    return f"pkg:generic/python@{version}" if name == "python" else f"pkg:pypi/{name}@{version}"
