"""The outcome of a validation: a table for people, `report.json` for programs, a verdict for the manifest."""

from __future__ import annotations

import json
import platform
from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from exporter.errors import BundleError, ValidationFailed
from exporter.files.atomic import sha256_of, write_atomically
from exporter.manifest import REPORTS, RungVerdict, Verdict, record_verdict
from validate.ladder.result import RungResult, show
from validate.ladder.words import turned
from validate.objects.exhibits import FILE as OBJECTS_FILE
from validate.objects.exhibits import Exhibit, save_exhibits

SCHEMA_VERSION = 1
REPORT_FILE = "report.json"
PAGE_FILE = "report.html"
STYLES = {"passed": "green", "failed": "bold red", "refused": "yellow", "skipped": "dim"}
PACKAGES = ("t3export", "diffusers", "numpy", "onnxruntime", "openvino", "torch", "transformers")


@dataclass(frozen=True)
class Report:
    """All rungs of one validation with what they were run on and with.

    `stand_in`: what ran the bundle's programs in place of the target's own runtime. `layers`: the error at each
    layer's output, as data; `layers_left_out` says why there is none. `exhibits` are kept in a file of their own.
    """

    bundle: str
    bundle_digest: str
    recipe: str
    recipe_digest: str
    weights: dict[str, Any]
    target: str
    settings: dict[str, Any]
    rungs: tuple[RungResult, ...]
    stand_in: str | None = None
    layers: tuple[dict[str, Any], ...] = ()
    layers_left_out: str = ""
    exhibits: tuple[Exhibit, ...] = ()
    machine: dict[str, Any] = field(default_factory=lambda: describe_machine())

    @property
    def passed(self) -> bool:
        """No rung failed, and at least one was climbed."""
        states = Counter(rung.status for rung in self.rungs)
        return states["failed"] == 0 and states["passed"] > 0

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON data; infinities and nan are strings."""
        return {
            "schema_version": SCHEMA_VERSION,
            "passed": self.passed,
            "bundle": self.bundle,
            "bundle_digest": self.bundle_digest,
            "recipe": self.recipe,
            "recipe_digest": self.recipe_digest,
            "weights": self.weights,
            "target": self.target,
            "stand_in": self.stand_in,
            "settings": self.settings,
            "machine": self.machine,
            "seconds": round(sum(rung.seconds for rung in self.rungs), 3),
            "rungs": [rung.to_dict() for rung in self.rungs],
            "layers": list(self.layers),
            "layers_left_out": self.layers_left_out,
        }

    def verdict(self) -> Verdict:
        """What the manifest keeps; rungs that were not climbed have proved nothing and are left out."""
        climbed = [rung for rung in self.rungs if rung.status in ("passed", "failed")]
        return Verdict(
            passed=self.passed,
            bundle_digest=self.bundle_digest,
            rungs=[
                RungVerdict(name=rung.name, passed=rung.status == "passed", summary=rung.summary) for rung in climbed
            ],
            stand_in=self.stand_in,
        )

    def require_passed(self) -> None:
        """Raises ValidationFailed that names each failed rung with its worst stage and tensor."""
        if self.passed:
            return
        failed = [rung for rung in self.rungs if rung.status == "failed"]
        if not failed:
            raise ValidationFailed(f"{self.bundle}: no rung could be climbed, so nothing is proved")
        lines = [f"  {rung.name} ({rung.title}): {rung.summary}" for rung in failed]
        raise ValidationFailed(f"{self.bundle}: {len(failed)} of {len(self.rungs)} rungs missed\n" + "\n".join(lines))


def write_report(report: Report, path: Path) -> None:
    """Write the report as JSON, whole or not at all. Raises EnvironmentProblem when it cannot be written."""
    text = json.dumps(report.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, text.encode())


def record_in_bundle(report: Report, folder: Path) -> Path:
    """Put the report among the bundle's reports and the verdict into its manifest; the bundle's digest stays.

    Models of an earlier validation go: they may be those of another bundle.
    """
    path = folder / REPORTS / REPORT_FILE
    write_report(report, path)
    if report.exhibits:
        save_exhibits(report.exhibits, path.with_name(OBJECTS_FILE))
    else:
        path.with_name(OBJECTS_FILE).unlink(missing_ok=True)
    record_verdict(folder, report.verdict().model_copy(update={"report_sha256": sha256_of(path)}))
    return path


def read_report(folder: Path) -> dict[str, Any]:
    """The last validation's report. Raises BundleError that says how to make one."""
    path = folder / REPORTS / REPORT_FILE
    if not path.is_file():
        raise BundleError(f"{folder}: not validated yet, there is no {path.name}; run `t3export validate {folder}`")
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        missing = {"rungs", "bundle_digest", "passed"} - report.keys()
        if missing:
            raise ValueError(f"no {', '.join(sorted(missing))}")
    except (OSError, ValueError, AttributeError) as error:
        raise BundleError(f"{path}: damaged ({type(error).__name__}: {error}); validate the bundle again") from None
    return report


def report_table(report: Report) -> RenderableType:
    """Each rung with its verdict, the figure that decided, its tolerance and its time; quality in full below."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("rung", "verdict", "worst figure", "tolerance", "on", "time"):
        table.add_column(column, overflow="fold", justify="right" if column == "time" else "left")
    for rung in report.rungs:
        worst = rung.worst
        verdict = Text(rung.status, style=STYLES[rung.status])
        figure, limit, subject = (worst.words, worst.allowed, worst.subject) if worst else ("", "", "")
        subject = rung.reason or subject
        table.add_row(rung.name, verdict, Text(figure), limit, Text(subject), f"{rung.seconds:.1f} s")
    quality = next((rung for rung in report.rungs if rung.name == "quality" and rung.figures), None)
    return Group(table, *(_quality(quality) if quality else ()))


def describe_machine() -> dict[str, Any]:
    """What the figures were made on and with: system, processor, versions."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _quality(rung: RungResult) -> list[RenderableType]:
    made = f"{rung.details['prompts']} prompts, seeds of each: {rung.details['seeds']}, {rung.details['views']['text']}"
    table = Table(box=None, header_style="bold", pad_edge=False, title=f"\nquality: {made}", title_justify="left")
    for column in ("of", "measure", "value", ""):
        table.add_column(column, overflow="fold")
    for figure in rung.figures:
        measure, value = turned(figure.measure, figure.value)
        table.add_row(figure.stage, Text(f"{figure.tensor} {measure}"), show(value, figure.unit), Text(figure.where))
    return [table]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
