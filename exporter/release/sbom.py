"""The bill of materials of a release in CycloneDX 1.6: its bundles, the weights in them, the packages they need."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from license_expression import ExpressionError, LicenseSymbol, get_spdx_licensing
from packageurl import PackageURL

from exporter.release.gate import Proved
from exporter.release.statement import Archive

_REFERENCE = "LicenseRef-"


def bill_of_materials(
    name: str, version: str, bundles: Sequence[Proved], archives: Mapping[str, Archive], license: str
) -> bytes:
    """The bill as JSON; the same release gives the same bytes (no time of day, a serial number from the digests)."""
    root = Component(name=name, version=version, type=ComponentType.MACHINE_LEARNING_MODEL, bom_ref=f"{name}@{version}")
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, " ".join(one.sha256 for one in archives.values())))
    bom.metadata.component = root
    parts: dict[str | None, Component] = {}
    for bundle in bundles:
        weights, packages = _weights(bundle, license), _packages(bundle)
        made = _bundle(bundle, archives[bundle.name], version)
        for component in (weights, *packages):
            parts.setdefault(component.bom_ref.value, component)
        bom.components.add(made)
        bom.register_dependency(made, [parts[weights.bom_ref.value], *(parts[p.bom_ref.value] for p in packages)])
        bom.register_dependency(root, [made])
    for component in parts.values():
        bom.components.add(component)
    data = json.loads(JsonV1Dot6(bom).output_as_string())
    # When it was written is not part of what it says, and would make every build another.
    data["metadata"].pop("timestamp", None)
    return f"{json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False)}\n".encode()


def _bundle(bundle: Proved, archive: Archive, version: str) -> Component:
    stages = bundle.manifest.stages
    return Component(
        name=bundle.name,
        version=version,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"bundle:{bundle.name}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=archive.sha256)],
        properties=[
            Property(name="t3export:target", value=archive.target),
            Property(name="t3export:bundle_digest", value=archive.bundle_digest),
            *(Property(name=f"t3export:precision:{stage}", value=part.precision) for stage, part in stages.items()),
        ],
    )


def _weights(bundle: Proved, license: str) -> Component:
    weights = bundle.manifest.weights
    return Component(
        name=weights.source,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"weights:{weights.digest}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=weights.digest)],
        licenses=[LicenseExpression(_spdx(license))],
    )


def _packages(bundle: Proved) -> list[Component]:
    """The packages that built the bundle, in the versions that did."""
    return [
        Component(
            name=name,
            version=version,
            type=ComponentType.PLATFORM if name == "python" else ComponentType.LIBRARY,
            bom_ref=f"package:{name}@{version}",
            purl=None if name == "python" else PackageURL("pypi", None, name, version),
        )
        for name, version in sorted(bundle.manifest.toolchain.items())
    ]


def _spdx(license: str) -> str:
    """An SPDX expression: the hub writes 'apache-2.0', SPDX 'Apache-2.0'; what SPDX does not know is a LicenseRef."""
    licensing = get_spdx_licensing()
    try:
        expression = licensing.parse(license, strict=True)
    except ExpressionError:
        return _reference(license)
    unknown = licensing.unknown_license_symbols(expression)
    return str(expression.subs({symbol: LicenseSymbol(_reference(symbol.key)) for symbol in unknown}))


def _reference(license: str) -> str:
    """A name of one's own, in the letters that SPDX allows."""
    return _REFERENCE + re.sub(r"[^A-Za-z0-9.-]+", "-", license.removeprefix(_REFERENCE))
