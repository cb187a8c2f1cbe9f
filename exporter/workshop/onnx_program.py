"""ONNX programs of a bundle, each as the chain of transformations that makes it from the model's stages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import onnx

from exporter.families.family import Model
from exporter.files.cache import Entry
from exporter.files.transform import Transform
from exporter.graphs.graph_file import read_graph, save_graph
from exporter.graphs.operators import count_operators
from exporter.graphs.program_files import PROGRAM, copy_program, rewrite_program
from exporter.graphs.rewrites import carry_rewrites, note_rewrite, read_rewrites
from exporter.graphs.sound import require_sound
from exporter.graphs.tensor_types import tensor_types
from exporter.passes.grid_sample_to_gathers import grid_sample_to_gathers
from exporter.passes.to_half import to_half
from exporter.pipeline.tensor import TensorSpec
from exporter.quantize.layers import find_layers
from exporter.quantize.quantizer import REPORT, LayerReport, lowest_precision, read_report, write_report
from exporter.recipe.policy import Precision
from exporter.recipe.recipe import Recipe
from exporter.sampling.loop import loop
from exporter.sampling.unrolled import unrolled
from exporter.sampling.whole import inputs_of_whole
from exporter.targets.target import Target
from exporter.trace.onnx import trace
from exporter.workshop.sources import Source, Tables, program_sources

Compile = Callable[[Path, Sequence[LayerReport], Path], Path]

SPECS = "specs.json"
DEFAULT_OPSET = 23


@dataclass(frozen=True)
class OnnxProgram:
    """One program: what it is made from, how that is quantized and, for a whole sampler, how it is unrolled.

    `compile_program(program, layers, folder)` is the backend's: writes what runs into `folder`, its path.
    """

    source: Source
    compile_program: Compile
    unroll: Literal["step", "loop", "full"] = "step"
    evaluations: int = 1

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def main(self) -> str:
        return PROGRAM

    def transforms(self, target: Target) -> Iterator[Transform]:
        """trace; look up, quantize, halve and unroll where recipe or target say so; compile. Each is checked."""
        for transform in self._transforms(target):
            yield replace(transform, run=partial(self._run, transform))

    def _run(self, transform: Transform, before: Path | None, folder: Path) -> None:
        transform.run(before, folder)
        if before is not None:
            carry_rewrites(before, folder)
        require_sound(folder / PROGRAM, f"{transform.step} {self.name}")

    def _transforms(self, target: Target) -> Iterator[Transform]:
        version = target.opset or DEFAULT_OPSET
        yield Transform(
            "trace", self.source.settings | {"opset": version}, lambda _, folder: self._trace(version, folder)
        )
        if target.look_up == "gathers":
            yield Transform("look up", {"by": target.look_up}, partial(self._carry, self._look_up))
        for transform in self.source.quantization.transforms(target.rendering):
            yield Transform(transform.step, transform.inputs, partial(self._carry, transform.run))
        if target.rendering == "fp16":
            yield Transform("halve", {}, partial(self._carry, self._halve))
        if self.unroll != "step":
            yield Transform("unroll", {"unroll": self.unroll, "evaluations": self.evaluations}, self._unroll)
        yield Transform(
            "compile",
            {"backend": target.backend, "processor": target.processor, "unquantized": target.unquantized},
            partial(self._carry, self._compile),
        )

    def files(self, folder: Path) -> list[str]:
        """Names of all files that go into the bundle."""
        return sorted(path.name for path in folder.iterdir() if path.name.startswith(PROGRAM))

    def layers(self, folder: Path) -> list[LayerReport]:
        """The layers that were quantized."""
        return read_report(folder)

    def precision(self, folder: Path) -> Precision:
        """The lowest precision of any layer, or of a network that has none and was halved all the same."""
        lowest = lowest_precision(read_report(folder))
        halved = any(by == to_half.__name__ and rewritten.done for by, rewritten in read_rewrites(folder))
        return "fp16" if lowest == "fp32" and halved else lowest

    def contents(self, folder: Path) -> dict[str, Any]:
        """Its operators by the precision they compute in."""
        return {"operators": count_operators(folder / PROGRAM)}

    def inputs(self, folder: Path) -> list[TensorSpec]:
        return _read_specs(folder)[0]

    def outputs(self, folder: Path) -> list[TensorSpec]:
        return _read_specs(folder)[1]

    def _trace(self, opset: int, folder: Path) -> None:
        stage = self.source.make_module()
        trace(stage, opset, folder)
        _write_specs(folder, stage.inputs, stage.outputs)

    @staticmethod
    def _look_up(before: Path | None, folder: Path) -> None:
        assert before is not None
        rewrite_program(copy_program(before / PROGRAM, folder), grid_sample_to_gathers)

    def _carry(self, run: Callable[[Path | None, Path], object], before: Path | None, folder: Path) -> None:
        """Run a step that leaves inputs and outputs as they are."""
        assert before is not None
        run(before, folder)
        for name in (SPECS, REPORT):
            if (before / name).exists() and not (folder / name).exists():
                shutil.copyfile(before / name, folder / name)

    def _halve(self, before: Path | None, folder: Path) -> None:
        assert before is not None
        graph = read_graph(before / PROGRAM)
        known = read_report(before) or [LayerReport(y.name, y.operator, "fp32") for y in find_layers(graph)]
        rewritten = to_half(graph, tensor_types(onnx.load(before / PROGRAM, load_external_data=False)))
        save_graph(graph, folder)
        note_rewrite(folder, to_half.__name__, rewritten)
        write_report(folder, [replace(y, precision="fp16") if y.precision == "fp32" else y for y in known])

    def _unroll(self, before: Path | None, folder: Path) -> None:
        assert before is not None
        unroll = loop if self.unroll == "loop" else unrolled
        latents = self.source.stage.makes[0]
        unroll(before / PROGRAM, self.evaluations, folder, latents.name)
        inputs, _ = _read_specs(before)
        write_report(folder, read_report(before))
        _write_specs(folder, inputs_of_whole(inputs, self.evaluations), [latents])

    def _compile(self, before: Path | None, folder: Path) -> None:
        assert before is not None
        self.compile_program(before / PROGRAM, read_report(before), folder)


def onnx_programs(
    model: Model, recipe: Recipe, tables: Tables, compile_program: Compile, calibration: Entry | None
) -> list[OnnxProgram]:
    """The programs of a bundle in the order in which they run; arguments as of `program_sources`."""
    return [
        OnnxProgram(source, compile_program, recipe.sampler_of(source.name).unroll, tables[source.name].evaluations)
        if source.is_step
        else OnnxProgram(source, compile_program)
        for source in program_sources(model, recipe, tables, calibration)
    ]


def _write_specs(folder: Path, inputs: Any, outputs: Any) -> None:
    data = {"inputs": [s.to_dict() for s in inputs], "outputs": [s.to_dict() for s in outputs]}
    (folder / SPECS).write_text(json.dumps(data, sort_keys=True), encoding="utf-8")


def _read_specs(folder: Path) -> tuple[list[TensorSpec], list[TensorSpec]]:
    data = json.loads((folder / SPECS).read_text(encoding="utf-8"))
    read = {side: [TensorSpec(s["name"], s["dtype"], tuple(s["shape"])) for s in data[side]] for side in data}
    return read["inputs"], read["outputs"]
