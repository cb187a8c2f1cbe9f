"""The quantizable programs of a recipe under any policy, and what a policy costs on recorded inputs."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import onnx
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from exporter.backends.onnxruntime.onnxruntime_backend import compile_program
from exporter.files.cache import Cache, Entry
from exporter.files.recorded import recorded_of
from exporter.graphs.program_files import PROGRAM
from exporter.machine.meter import Progress, Silent
from exporter.pipeline.pipeline import EVALUATED, Pipeline
from exporter.quantize.layers import Layer, find_layers
from exporter.quantize.prepared import prepared
from exporter.quantize.quantizer import Observer, quantize
from exporter.quantize.statistics import Statistics, load
from exporter.quantize.steps import STATISTICS
from exporter.recipe.policy import Policy, Rule
from exporter.recipe.recipe import Recipe
from exporter.runtime.sessions.session import Session, open_session
from exporter.search.error_metric import NoiseMeter, Parts, mean_nsr, measured_in, recorded_prompts
from exporter.search.latency import Product
from exporter.targets.target import Target, require_measurable
from exporter.workshop.onnx_program import OnnxProgram, onnx_programs
from exporter.workshop.workshop import Workshop

PROMPTS = 4
UNKNOWN_SHAPE = ("batch", "rows", "channels")
STORED_OPERATORS = ("linear", "table")
_EVERYTHING = Rule(layers="*", precision="int8_weights", rounding="gptq")
_EVERYTHING_STATIC = Rule(layers="*", precision="int8", rounding="gptq")


@dataclass(frozen=True)
class Cost:
    """What a policy costs: `noise` as NSR by the stage that it is measured in and part, `stored_bytes` of weights by
    stage."""

    noise: dict[str, Parts]
    stored_bytes: dict[str, int]

    def nsr(self, stage: str) -> float:
        """The mean NSR over the parts of a stage that noise is measured in."""
        return mean_nsr(self.noise[stage])


@dataclass(frozen=True)
class _Base:
    """A float program with everything that was observed of it."""

    key: str
    folder: Path

    @property
    def program(self) -> Path:
        return self.folder / PROGRAM

    @cached_property
    def statistics(self) -> dict[str, Statistics]:
        return load(self.folder / STATISTICS)


class Workbench:
    """The stages of a recipe that can be calibrated, traced and observed (from the cache where it has them).

    The recipe's rules are left alone; its calibration, objective and smoothing hold. Where the recipe smooths, a stage
    with a layer in static INT8 is smoothed for all of its layers.
    """

    def __init__(
        self, recipe: Recipe, target: Target, cache: Cache, progress: Progress | None = None, *, prompts: int = PROMPTS
    ) -> None:
        """Noise is measured on the first `prompts` of the recorded ones.

        Raises RecipeError for a planned target or one that runs no ONNX here, WeightsError.
        """
        require_measurable(target)
        self.recipe, self.target, self.cache = recipe, target, cache
        self.progress = progress or Silent()
        self._workshop = Workshop.open(recipe, target, cache, self.progress)
        self._calibration = self._workshop.calibration()
        self._plain = {stage: self._observed(program) for stage, program in self._programs(_EVERYTHING).items()}
        self._smoothed: dict[str, _Base] = {}
        self._meter = NoiseMeter(
            self.pipeline,
            {stage: self._shards(stage) for stage in self.stages},
            self.originals,
            {stage: table.evaluations for stage, table in self._workshop.tables.items()},
            prompts,
            self._open,
        )

    @property
    def pipeline(self) -> Pipeline:
        return self._workshop.pipeline

    @property
    def stages(self) -> list[str]:
        """Names of the stages, in the order in which they run."""
        return list(self._plain)

    @property
    def originals(self) -> dict[str, Path]:
        """The float programs by stage."""
        return {stage: base.program for stage, base in self._plain.items()}

    @property
    def weights_digest(self) -> str:
        """sha256 (hex) of the model's weights."""
        return self._workshop.model.weights_digest

    @property
    def prompts(self) -> list[str]:
        """The prompts that noise is measured on."""
        return self._meter.prompts

    @property
    def layers(self) -> dict[str, list[Layer]]:
        """By stage the layers that have something to store: products with a weight, and tables."""
        return {stage: [layer for layer, _ in own] for stage, own in self._found.items()}

    def runs(self, stage: str) -> int:
        """How often a stage runs for one object."""
        tables = self._workshop.tables
        return tables[stage].evaluations if stage in tables else 1

    def product(self, stage: str, layer: Layer) -> Product:
        """The product that a linear layer is where one object is made, both branches of guidance together."""
        seen = sum(len(recorded_prompts(shard)) for shard in self._shards(stage))
        rows = self._plain[stage].statistics[layer.input].rows / seen
        rank = next(rank for known, rank in self._found[stage] if known == layer)
        return Product(layer.shape, max(1, math.ceil(rows / math.prod(layer.shape[:-2]))), rank)

    def key(self, stage: str) -> list[str]:
        """The cache keys of all that the noise of this stage's layers depends on."""
        target = measured_in(self.pipeline, stage)
        between = [name for name in self.pipeline.before(target) if name in self.stages]
        involved = dict.fromkeys([target, stage, *(between if target != stage else [])])
        bases = [base for name in involved for base in (self._plain[name], self._for_static(name))]
        return [self._calibration.key, *(base.key for base in bases)]

    def measure(self, policy: Policy) -> Cost:
        """Noise and stored bytes of the programs under a policy.

        Raises ValidationFailed for a policy that the target's backend does not take, as a build would.
        """
        with self.quantized(policy) as programs:
            noise = {stage: self._meter.noise(stage, programs) for stage in self._meter.measured}
            return Cost(noise, {stage: stored_bytes(program) for stage, program in programs.items()})

    @contextmanager
    def quantized(self, policy: Policy) -> Iterator[dict[str, Path]]:
        """The programs by stage, as long as the context lasts; a stage that the policy leaves alone is as traced."""
        with tempfile.TemporaryDirectory(prefix="t3export-workbench-") as folder:
            yield {stage: self._program(stage, policy, Path(folder) / stage) for stage in self.stages}

    def _program(self, stage: str, policy: Policy, folder: Path) -> Path:
        rules = [policy.choose(layer.name, layer.operator) for layer in self.layers[stage]]
        precisions = {rule.precision for rule in rules if rule}
        if not precisions:
            return self._plain[stage].program
        base = self._for_static(stage) if "int8" in precisions else self._plain[stage]
        observer = Observer.of(self.recipe.quantization.calibration)
        quantized = folder / "quantized"
        reports = quantize(base.program, policy, base.statistics, observer, quantized)
        return compile_program(quantized / PROGRAM, reports, folder)

    @cached_property
    def _found(self) -> dict[str, list[tuple[Layer, int]]]:
        """By stage the layers, each with the rank of its input."""
        found = {}
        for stage, base in self._plain.items():
            graph = prepared(base.program)
            values = graph.tensors()
            layers = [layer for layer in find_layers(graph) if layer.operator in STORED_OPERATORS]
            ranks = {name: len(value.shape or UNKNOWN_SHAPE) for name, value in values.items()}
            found[stage] = [(layer, ranks.get(layer.input, 0)) for layer in layers]
        return found

    def _for_static(self, stage: str) -> _Base:
        """What static INT8 is applied to."""
        if self.recipe.quantization.smooth == "none":
            return self._plain[stage]
        if stage not in self._smoothed:
            self._smoothed[stage] = self._observed(self._programs(_EVERYTHING_STATIC)[stage])
        return self._smoothed[stage]

    def _programs(self, rule: Rule) -> dict[str, OnnxProgram]:
        """The stages' programs with this rule for all layers, a sampler's as a single step."""
        quantization = self.recipe.quantization.model_copy(update={"rules": [rule]})
        stepwise = self.recipe.with_samplers(lambda sampler: sampler.model_copy(update={"unroll": "step"}))
        recipe = stepwise.model_copy(update={"quantization": quantization})
        shop = self._workshop
        programs = onnx_programs(shop.model, recipe, shop.tables, compile_program, self._calibration)
        return {program.name: program for program in programs if program.source.stage.kind not in EVALUATED}

    def _observed(self, program: OnnxProgram) -> _Base:
        """The program traced, smoothed where the recipe says so, and observed."""
        entry: Entry | None = None
        for transform in program.transforms(self.target):
            entry = self._workshop.transform(transform, program.name, entry)
            if transform.step == "observe":
                break
        assert entry is not None
        return _Base(entry.key, entry.folder)

    def _open(self, program: Path) -> Session:
        return open_session(self.target.backend, program, self.target.session.model_dump())

    def _shards(self, stage: str) -> list[Path]:
        return recorded_of(self._calibration.folder, stage)


def stored_bytes(program: Path) -> int:
    """Bytes of a program's constants as they are stored."""
    model = onnx.load(program, load_external_data=False)
    return sum(_tensor_bytes(tensor) for tensor in model.graph.initializer)


def _tensor_bytes(tensor: onnx.TensorProto) -> int:
    if uses_external_data(tensor):
        return int(ExternalDataInfo(tensor).length or 0)
    return len(tensor.raw_data) or tensor.ByteSize()
