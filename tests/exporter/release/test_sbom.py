from __future__ import annotations

import json

import pytest

from exporter.release.gate import require_releasable
from exporter.release.sbom import bill_of_materials
from exporter.release.statement import Archive


@pytest.mark.parametrize(
    "license, expression",
    [
        ("apache-2.0", "Apache-2.0"),
        ("Apache-2.0 OR MIT", "Apache-2.0 OR MIT"),
        ("mit and (bsd-3-clause or gpl-2.0-only with classpath-exception-2.0)",
         "MIT AND (BSD-3-Clause OR GPL-2.0-only WITH Classpath-exception-2.0)"),
        ("other", "LicenseRef-other"),
        ("openrail++", "LicenseRef-openrail-"),
        ("Model licence 2 (research/only)", "LicenseRef-Model-licence-2-research-only-"),
        ("MIT AND LicenseRef-mine", "MIT AND LicenseRef-mine"),
        ("MIT OR our_own", "MIT OR LicenseRef-our-own"),
    ],
)  # fmt: skip
def test_the_licence_is_an_spdx_expression(releasable, license, expression):
    archive = Archive(file="cpu.tar.zst", sha256="0" * 64, size=1, bundle_digest="0" * 64, target="cpu", files={})
    bill = bill_of_materials("toy", "1.0.0", require_releasable([releasable]), {"toy/cpu": archive}, license)
    (weights,) = [part for part in json.loads(bill)["components"] if part["name"] == "toy"]
    assert weights["licenses"] == [{"expression": expression}]
