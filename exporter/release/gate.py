"""What may be released: a whole bundle of trained weights whose validation passed, on all that its recipe asks for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.files.atomic import sha256_of
from exporter.manifest import FAILED, Manifest, bundle_digest, require_whole
from exporter.release.release_errors import NotReleasable

# Weights under these names were made for tests; the second kind is trained weights with injected outliers.
SYNTHETIC = ("random:", "stress:")
QUALITY = "quality"


@dataclass(frozen=True)
class Proved:
    """A bundle that may be released, with the report of its validation."""

    folder: Path
    manifest: Manifest
    report: dict[str, Any]

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def quality(self) -> dict[str, Any]:
        """The report's rung of R-Precision."""
        return next(rung for rung in self.report["rungs"] if rung["name"] == QUALITY)


def require_releasable(folders: Iterable[Path]) -> list[Proved]:
    """The bundles with their proofs.

    Raises BundleError for a damaged one, NotReleasable that says for each of them what is missing and what to do.
    """
    manifests = {folder: require_whole(folder) for folder in folders}
    refused = {folder: reason for folder, manifest in manifests.items() if (reason := _refusal(folder, manifest))}
    if refused:
        raise NotReleasable("not released:\n" + "\n".join(f"  {folder}: {why}" for folder, why in refused.items()))
    names = [manifest.name for manifest in manifests.values()]
    if len(set(names)) != len(names):
        raise NotReleasable(f"not released: two bundles are called the same, of {', '.join(sorted(names))}")
    return [Proved(folder, manifest, _report(folder, manifest)) for folder, manifest in manifests.items()]


def _refusal(folder: Path, manifest: Manifest) -> str:
    """Why a whole bundle is not released; empty where it is."""
    validate = f"run `t3export validate {folder}`"
    weights, verdict = manifest.weights, manifest.validation
    if (folder / FAILED).exists():
        return f"its build failed ({FAILED} says why); mend the recipe and build again"
    if not weights.trained or weights.source.startswith(SYNTHETIC):
        return f"made from synthetic weights ({weights.source}), which prove nothing; build it with trained --weights"
    if verdict is None:
        return f"not validated; {validate}"
    if verdict.bundle_digest != bundle_digest(manifest):
        return f"validated before it was last changed; {validate}"
    if failed := [rung for rung in verdict.rungs if not rung.passed]:
        told = "; ".join(f"{rung.name}: {rung.summary}" for rung in failed)
        return f"its validation failed ({told}); mend the recipe, build and validate again"
    if not verdict.passed or QUALITY not in [rung.name for rung in verdict.rungs]:
        return f"its quality was not measured; {validate} without --no-quality"
    report = folder / verdict.report
    if not report.is_file() or sha256_of(report) != verdict.report_sha256:
        return f"its report {verdict.report} is missing, or not the one that its verdict was taken from; {validate}"
    judged = Proved(folder, manifest, _report(folder, manifest)).quality["details"]
    asked = manifest.recipe["validation"]
    if judged["prompts"] * judged["seeds"] < asked["prompts"] * asked["seeds"]:
        return (
            f"its quality was judged on {judged['prompts']} prompts x {judged['seeds']} seeds, fewer objects than the "
            f"{asked['prompts']} x {asked['seeds']} that its recipe asks for; {validate}"
        )
    return ""


def _report(folder: Path, manifest: Manifest) -> dict[str, Any]:
    assert manifest.validation is not None
    found: dict[str, Any] = json.loads((folder / manifest.validation.report).read_text(encoding="utf-8"))
    return found
