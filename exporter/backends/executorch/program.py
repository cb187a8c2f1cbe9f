"""One ExecuTorch program of a bundle: traced, quantized and lowered in one step, since nothing between is a file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from exporter.backends.executorch.lower import PROGRAM, lower
from exporter.backends.executorch.quantize import quantize
from exporter.backends.executorch.trace import export, largest_sizes, trace
from exporter.files.transform import Transform
from exporter.machine.quiet import ROOT, quiet
from exporter.pipeline.pure_module import PureModule
from exporter.pipeline.tensor import TensorSpec
from exporter.quantize.quantizer import LayerReport, lowest_precision, read_report, write_report
from exporter.recipe.policy import Precision
from exporter.runtime.sessions.executorch import SIGNATURE, WEIGHTS
from exporter.sampling.whole import whole_module
from exporter.targets.target import ExecuTorchOptions, Target
from exporter.workshop.sources import Source

Constants = Mapping[str, int | float]

DELEGATION = "delegation.json"


@dataclass(frozen=True)
class ExecuTorchProgram:
    """A program and its source. `constants`: numbers that the host reads from it, by methods of these names.

    `is_whole`: whether it holds all evaluations of a sampler.
    """

    source: Source
    constants: Constants
    is_whole: bool = False

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def main(self) -> str:
        return PROGRAM

    def transforms(self, target: Target) -> Iterator[Transform]:
        """One step: trace, quantize, unroll where the recipe says so, lower."""
        quantization = self.source.quantization
        inputs = {
            **self.source.settings,
            "rules": [rule.model_dump(exclude={"why"}) for rule in quantization.policy.rules],
            "observer": quantization.settings.calibration.observer,
            "calibration": quantization.calibration.key if self._calibrated and quantization.calibration else None,
            "is_whole": self.is_whole,
            "constants": dict(self.constants),
            "options": target.executorch.model_dump(exclude={"test_cases"}),
        }
        yield Transform("lower", inputs, lambda _, folder: self._lower(target.executorch, folder))

    def files(self, folder: Path) -> list[str]:
        """Names of all files that go into the bundle."""
        outside = [WEIGHTS] if (folder / WEIGHTS).exists() else []
        return [PROGRAM, *outside, SIGNATURE, DELEGATION]

    def layers(self, folder: Path) -> list[LayerReport]:
        """All layers with what became of them."""
        return read_report(folder)

    def precision(self, folder: Path) -> Precision:
        """The lowest precision of any layer."""
        return lowest_precision(read_report(folder))

    def contents(self, folder: Path) -> dict[str, Any]:
        """Its layers by precision, and how its nodes are divided between XNNPACK and the portable kernels."""
        counts: dict[str, Counter[str]] = {}
        for layer in read_report(folder):
            counts.setdefault(layer.operator, Counter())[layer.precision] += 1
        layers = {operator: dict(found) for operator, found in sorted(counts.items())}
        return {"layers": layers, **json.loads((folder / DELEGATION).read_text(encoding="utf-8"))}

    def inputs(self, folder: Path) -> list[TensorSpec]:
        return _read_specs(folder, "inputs")

    def outputs(self, folder: Path) -> list[TensorSpec]:
        return _read_specs(folder, "outputs")

    @property
    def _calibrated(self) -> bool:
        return self.source.quantization.policy.calibrated

    def _lower(self, options: ExecuTorchOptions, folder: Path) -> None:
        stage = self.source.make_module()
        # Partitioners tell the root logger of every node that they look at.
        with quiet(ROOT):
            graph, reports = quantize(stage, trace(stage), self.source.quantization, options.int8_at_run_time)
            stage = replace(stage, module=graph)
            if self.is_whole:
                evaluations = int(self.constants["evaluations"])
                stage = whole_module(stage, evaluations, self.source.stage.makes[0].name)
            delegation = lower(self.name, export(stage), self.constants, options, folder)
        write_report(folder, reports)
        write_signature(folder, stage)
        _write_json(folder / DELEGATION, vars(delegation))


def write_signature(folder: Path, stage: PureModule) -> None:
    """What a session has to know of a program: names, types and shapes, and how much it takes at once."""
    sides = {"inputs": stage.inputs, "outputs": stage.outputs}
    data = {side: [spec.to_dict() for spec in specs] for side, specs in sides.items()}
    _write_json(folder / SIGNATURE, data | {"largest": largest_sizes(stage.inputs)})


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _read_specs(folder: Path, side: str) -> list[TensorSpec]:
    data = json.loads((folder / SIGNATURE).read_text(encoding="utf-8"))
    return [TensorSpec(s["name"], s["dtype"], tuple(s["shape"])) for s in data[side]]
