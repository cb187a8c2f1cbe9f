"""A target is data: which backend runs the programs, on what, at which precisions, and what it needs."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, model_validator

from exporter.errors import RecipeError, did_you_mean
from exporter.pipeline.pipeline import Kind
from exporter.recipe.document import read_yaml, validate
from exporter.recipe.policy import Precision, Rendering
from exporter.recipe.section import Section

TARGETS = Path(__file__).parent
AUTO = "auto"
NOT_OFFERED = "not offered for this target"


class Need(Section):
    """Something that has to be present: a Python package, or a tool on the PATH."""

    kind: Literal["package", "tool", "device"] = Field(
        description="package: a Python distribution; tool: a program on the PATH; device: hardware, not looked for"
    )
    name: str = Field(description="The distribution's, the program's or the device's name")
    used_for: str = Field(description="What it is used for")
    side: Literal["build", "run"] = Field(description="Whether it is needed to build a bundle or to run one")

    @property
    def found(self) -> str | None:
        """A package's version or a tool's path on this machine; None for what is missing, and for any hardware."""
        if self.kind == "package":
            try:
                return version(self.name)
            except PackageNotFoundError:
                return None
        return shutil.which(self.name) if self.kind == "tool" else None

    def missing(self) -> bool:
        """Whether this machine lacks it; hardware is never looked for."""
        return self.kind != "device" and self.found is None


class SessionOptions(Section):
    """How the backend's sessions are opened."""

    providers: list[str] = Field(default_factory=list, description="ONNX Runtime execution providers, best first")
    provider_options: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="Options of each execution provider, passed on unchanged"
    )
    bind: Literal["cuda", "cpu"] | None = Field(
        default=None, description="Device on which inputs and outputs keep their place from run to run (IO binding)"
    )
    graph_optimization: Literal["disabled", "basic", "extended", "all"] = Field(
        default="all", description="ONNX Runtime's graph optimization level"
    )
    threads: int = Field(default=0, ge=0, description="Threads inside an operator; 0 leaves it to the backend")
    inference_precision: Literal["fp32", "bf16"] = Field(
        default="fp32", description="What OpenVINO computes in where nothing is quantized, on a processor that has it"
    )
    prepack: list[Kind] | None = Field(
        default=None,
        description="Kinds of stages whose weights are packed for speed when they are opened, all by default. Those of "
        "others stay in their files and are ready at once, which pays where a program runs once an object",
    )
    config: dict[str, str] = Field(default_factory=dict, description="Session config entries, passed on unchanged")


class TensorRtOptions(Section):
    """How TensorRT builds engines, and for which GPUs."""

    compute_capabilities: list[str] = Field(
        description="Of the GPUs that engines may be built on, the oldest first", min_length=1
    )
    workspace_mb: int = Field(
        default=4096, ge=64, description="Scratch memory of one engine", json_schema_extra={"unit": "MB"}
    )
    optimization_level: int = Field(default=4, ge=0, le=5, description="How long the builder looks for fast kernels")

    @property
    def oldest(self) -> str:
        """Compute capability that the programs have to suit."""
        return self.compute_capabilities[0]


class ExecuTorchOptions(Section):
    """How ExecuTorch's programs are quantized, and what is written beside them."""

    int8_at_run_time: bool = Field(
        default=False,
        description="Layers in int8 measure their activations at run time where XNNPACK can, instead of by calibration",
    )
    external_weights: bool = Field(
        default=False, description="Weights in `program.ptd` beside each program, for updates without them"
    )
    test_cases: bool = Field(
        default=False,
        description="Each program once more with its goldens and a tolerance, in one `.bpte` file that ExecuTorch's "
        "own runners check; as large as the programs",
    )
    etrecord: bool = Field(
        default=False,
        description="`debug/<stage>.etrecord`, from which `t3export validate --debug` tells the gap of "
        "each operator; about three times as large as float32 programs",
    )


class Target(Section):
    """One device or runtime that bundles are built for."""

    name: str = Field(description="Names the bundle's folder", pattern=r"^[A-Za-z0-9_-]+$")
    description: str = Field(description="One line for people")
    backend: Literal["onnxruntime", "openvino", "executorch", "tensorrt", "onnxruntime-web", "onnxruntime-mobile"] = (
        Field(description="What runs the programs")
    )
    processor: str = Field(description="What it runs on: cpu, cuda, npu, …")
    status: Literal["complete", "planned"] = Field(description="planned targets are listed, and refused by build")
    why_planned: str = Field(default="", description="What a planned target waits for, with what was measured of it")
    opset: int | None = Field(default=None, ge=18, le=26, description="ONNX opset; none where ONNX is not used")
    precisions: list[Precision] = Field(description="Precisions a layer may have", min_length=1)
    rendering: Rendering = Field(
        default="fp32",
        description="How static INT8 is written, and what is not quantized. fp32: Q/DQ, and products of integers where "
        "ONNX Runtime fuses no Q/DQ; qdq: fp32 with Q/DQ alone; fp16: the networks in half precision with Q/DQ alone",
    )
    look_up: Literal["grid_sample", "gathers"] = Field(
        default="grid_sample",
        description="How a program looks places up in a plane of features: by ONNX's GridSample, or by four gathers "
        "where the runtime lacks it or is known to get it wrong",
    )
    memory_limit_mb: int | None = Field(
        default=None, ge=1, description="Memory of the device", json_schema_extra={"unit": "MB"}
    )
    refused: dict[str, str] = Field(
        default_factory=dict,
        description="What is refused, and why: a precision, a setting of a recipe as 'sampler.unroll=loop', or a field "
        "of a rule as 'operator=norm'; * and ? may stand in values",
    )
    measured: dict[str, str] = Field(
        default_factory=dict,
        description="What was measured of what is refused, under the same name: the figures, with what and when",
    )
    left_out: dict[str, str] = Field(
        default_factory=dict,
        description="What is left out of a recipe and told as a warning, and why: a setting of a section, or rules "
        "with a field, as 'operator=table'",
    )
    needs: list[Need] = Field(default_factory=list, description="What building and running need")
    session: SessionOptions = Field(default_factory=SessionOptions, description="How sessions are opened")
    tensorrt: TensorRtOptions | None = Field(default=None, description="How engines are built (backend tensorrt)")
    executorch: ExecuTorchOptions = Field(
        default_factory=ExecuTorchOptions, description="How programs are quantized and what is beside them (executorch)"
    )
    stand_in: str = Field(
        default="",
        description="What runs the programs on a machine that is not this target; said wherever it does",
    )

    @model_validator(mode="after")
    def _tensorrt_knows_its_gpus(self) -> Target:
        if self.backend == "tensorrt" and (self.tensorrt is None or self.rendering != "fp16"):
            raise ValueError("the backend tensorrt needs `rendering: fp16` and a section `tensorrt`")
        return self

    @model_validator(mode="after")
    def _only_openvino_computes_in_bf16(self) -> Target:
        if self.session.inference_precision == "bf16" and self.backend != "openvino":
            raise ValueError("session.inference_precision: bf16 goes with the backend openvino alone")
        return self

    @model_validator(mode="after")
    def _taken_or_refused(self) -> Target:
        known = get_args(Precision)
        for name in self.refused:
            if "=" not in name and name not in known:
                raise ValueError(f"refused: no precision {name!r}; {did_you_mean(name, known)}")
            if name in self.precisions:
                raise ValueError(f"{name} cannot be among the precisions and refused; keep one of the two")
        for name in self.measured:
            if name not in self.refused:
                raise ValueError(f"measured: {name!r} is not refused; {did_you_mean(name, self.refused)}")
        return self

    @property
    def unquantized(self) -> Precision:
        """What is computed in where nothing is quantized; a recipe allows it by having tolerances for it."""
        return "fp16" if self.rendering == "fp16" else self.session.inference_precision

    @property
    def in_fp32(self) -> Target:
        """The same target, computing in fp32 whatever its programs store."""
        session = self.session.model_copy(update={"inference_precision": "fp32"})
        return self.model_copy(update={"session": session})

    def reason_against(self, precision: Precision) -> str | None:
        """Why no layer may have a precision here; None where it may."""
        if precision in self.precisions:
            return None
        return self.refused.get(precision, NOT_OFFERED)

    def missing(self, side: Literal["build", "run"] | None = None) -> list[Need]:
        """The needs this machine lacks, of one side or of both."""
        return [need for need in self.needs if side in (None, need.side) and need.missing()]


def load_target(name_or_path: str | Path) -> Target:
    """A shipped target by name, or a user's own target file by path.

    Raises RecipeError that lists the names, or names the file and line of a wrong field.
    """
    text = str(name_or_path)
    if text.endswith((".yaml", ".yml")) or "/" in text or "\\" in text:
        return validate(Target, read_yaml(Path(text)))
    names = target_names()
    if text == AUTO:
        raise RecipeError(f"target '{AUTO}' is for `t3export build`, which chooses one; allowed: {', '.join(names)}")
    if text not in names:
        raise RecipeError(
            f"target '{text}': no such target; {did_you_mean(text, names)} (your own target file: give its path)"
        )
    return validate(Target, read_yaml(TARGETS / f"{text}.yaml"))


def require_complete(target: Target) -> None:
    """Refuses a planned target. Raises RecipeError that names the targets that can be built."""
    if target.status == "planned":
        complete = ", ".join(t.name for t in list_targets() if t.status == "complete")
        raise RecipeError(
            f"target '{target.name}' ({target.description}) is planned: not built by this version"
            + (f", because {target.why_planned}" if target.why_planned else "")
            + f". Targets that can be built: {complete}"
        )


def require_measurable(target: Target) -> None:
    """Refuses a target for which layers and bundles cannot be measured on this machine. Raises RecipeError."""
    require_complete(target)
    if target.backend != "onnxruntime":
        raise RecipeError(
            f"target '{target.name}' runs on its own device ({target.backend}); what quantization costs is measured "
            "here with ONNX Runtime. Use --target cpu and give the policy that is found to the recipe "
            "(quantization.policy)"
        )


def target_names() -> list[str]:
    """Names of the shipped targets, sorted."""
    return sorted(path.stem for path in TARGETS.glob("*.yaml"))


def list_targets() -> list[Target]:
    """All shipped targets: complete ones first, then by name."""
    targets = [load_target(name) for name in target_names()]
    return sorted(targets, key=lambda target: (target.status != "complete", target.name))
