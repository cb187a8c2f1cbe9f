"""The model card of a release: README.md with the front matter that the Hugging Face hub reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from exporter.release.gate import Proved
from exporter.release.release_errors import NotReleasable

_FRONT = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_PICTURE = re.compile(r"^!\[.*\]\(.*\)\s*$", re.MULTILINE)
_OWN_LIMITS = re.compile(
    r"\n## [^\n]*\b(?:limit|bias|out-of-scope)[^\n]*\n(.*?)(?=\n## |\Z)", re.IGNORECASE | re.DOTALL
)
_SHOWN = ("rate", "mean cosine", "without a surface", "McNemar p", "drop")


@dataclass(frozen=True)
class WeightsCard:
    """What is said of the weights by who made them: licence (SPDX), what they learnt from, their limits."""

    license: str
    about: str = ""
    limits: str = ""

    @classmethod
    def find(cls, folder: Path | None, license: str | None) -> WeightsCard:
        """From README.md in the weights' folder, `license` first. Raises NotReleasable where no licence is known."""
        text = ""
        if folder and (folder / "README.md").is_file():
            text = (folder / "README.md").read_text(encoding="utf-8")
        front, body = _split(text)
        named = (license or str(front.get("license") or "")).strip()
        if not named:
            raise NotReleasable(
                "not released: the licence of the weights is not known; name it with --license, as in --license mit"
            )
        body = _PICTURE.sub("", body)
        limits = _OWN_LIMITS.search(body)
        about = re.sub(r"\A\s*# [^\n]*\n", "", body).split("\n## ")[0]
        return cls(named, about.strip(), limits[1].strip() if limits else "")


def write_card(name: str, version: str, bundles: Sequence[Proved], weights: WeightsCard, key: str) -> str:
    """The card's text; every figure in it is from the bundles' validation reports."""
    targets = [str(one.manifest.target["name"]) for one in bundles]
    front = {
        "license": weights.license,
        "library_name": "t3export",
        "pipeline_tag": "text-to-3d",
        "tags": sorted({"text-to-3d", "quantized", *(str(one.manifest.target["backend"]) for one in bundles)}),
    }
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n",
        f"# {name} {version}\n",
        f"Text-to-3D bundles for {', '.join(targets)}, made and proved by t3export, signed by key {key}.\n",
        _use(name, version, bundles),
        _contents(bundles),
        "## Quality\n",
        *(_quality(one) for one in bundles),
        _data(bundles, weights),
        _limits(bundles, weights),
        f"## Licence\n\nThe weights: {weights.license}.\n",
    ]
    return "\n".join(parts)


def _use(name: str, version: str, bundles: Sequence[Proved]) -> str:
    which = f" --bundle {bundles[0].name}" if len(bundles) > 1 else ""
    return (
        "## Use\n\n```sh\n"
        f"t3export pull {name}@{version} --from STORE --trust t3export.pub{which}\n"
        f't3export run artifacts/pulled/{name}/{bundles[0].name} --prompt "a red chair" -o chair.glb\n```\n'
    )


def _contents(bundles: Sequence[Proved]) -> str:
    rows = []
    for one in bundles:
        manifest = one.manifest
        precisions = ", ".join(f"{stage} {part.precision}" for stage, part in manifest.stages.items())
        size = sum(part.size for part in manifest.stages.values()) / 1e6
        made = "; ".join(
            f"{sampling.scheduler}, {sampling.steps} steps, guidance {sampling.guidance_scale:g}"
            for sampling in manifest.samplings.values()
        )
        rows.append((one.name, str(manifest.target["description"]), precisions, f"{size:.1f} MB", made))
    return f"## Bundles\n\n{_table(('bundle', 'for', 'precision', 'programs', 'sampler'), rows)}"


def _quality(one: Proved) -> str:
    rung, details = one.quality, one.quality["details"]
    figures = [f for f in rung["figures"] if f["measure"] in _SHOWN]
    rows = [(f["stage"], f"{f['tensor']}: {f['measure']}", _number(f), str(f["where"])) for f in figures]
    judge, views = details["evaluator"], details["views"]["text"]
    ran = f" {one.report['stand_in']}." if one.report.get("stand_in") else ""
    asked = f"{details['prompts']} prompts x {details['seeds']} seeds; {views}; judge {judge['name']}"
    reference = f"The reference: {one.manifest.compared_with}, with the same prompts and seeds"
    ladder = [(r["name"], r["status"], r["summary"]) for r in one.report["rungs"]]
    return (
        f"### {one.name}\n\n{asked}. {reference}.{ran}\n\n"
        f"{_table(('of', 'measure', 'value', 'interval, and what it is of'), rows)}\n"
        f"{_table(('rung', 'verdict', 'deciding figure'), ladder)}"
    )


def _data(bundles: Sequence[Proved], weights: WeightsCard) -> str:
    sources = sorted({f"`{one.manifest.weights.source}` ({one.manifest.weights.digest})" for one in bundles})
    calibrated = sorted({text for one in bundles if (text := _calibration(one))})
    lines = [
        f"Weights: {', '.join(sources)}.",
        *([_read_from(bundles[0])] if bundles and bundles[0].manifest.weights.files else []),
        *(calibrated or ["No calibration data was used."]),
        "What their makers say of them:\n\n" + weights.about
        if weights.about
        else "No card came with the weights: what they learnt from is not known here.",
    ]
    return "## Data\n\n" + "\n\n".join(lines) + "\n"


def _read_from(one: Proved) -> str:
    files = [file for file in one.manifest.weights.files if not file.name.endswith((".json", ".txt", ".yaml"))]
    told = (f"{file.part} from `{file.name}` of sha256 `{file.sha256}`" for file in files)
    return f"Loaded from: {'; '.join(told)}."


def _calibration(one: Proved) -> str:
    quantization = one.manifest.recipe.get("quantization") or {}
    used = quantization.get("calibration")
    if not used or not quantization.get("rules"):
        return ""
    return f"Calibration of {one.name}: {used['prompts']} prompts through the reference's own trajectories."


def _limits(bundles: Sequence[Proved], weights: WeightsCard) -> str:
    lines = ["Measured on the prompts, seeds and judge above and on nothing else."]
    for one in bundles:
        if stand_in := one.report.get("stand_in"):
            lines.append(f"{one.name} was not measured on its device: {stand_in}.")
        engines = one.manifest.engines
        if engines and engines.state != "built":
            lines.append(f"{one.name} is a kit: its engines are built on the device by `{engines.run[0]}`.")
    if weights.limits:
        lines.append(weights.limits)
    return "## Limits\n\n" + "\n\n".join(lines) + "\n"


def _number(figure: dict[str, Any]) -> str:
    value = figure["value"]
    text = f"{value:.4g}" if isinstance(value, (int, float)) else str(value)
    limit = f" ({figure['sense']} {figure['limit']:g})" if figure["limit"] is not None else ""
    return f"{text} {figure['unit']}".strip() + limit


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def lines() -> Iterator[str]:
        for row in (head, ["---"] * len(head), *rows):
            yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |\n"

    return "".join(lines())


def _split(text: str) -> tuple[dict[str, Any], str]:
    found = _FRONT.match(text)
    if not found:
        return {}, text
    try:
        front = yaml.safe_load(found[1])
    except yaml.YAMLError:
        front = None
    return front if isinstance(front, dict) else {}, text[found.end() :]
