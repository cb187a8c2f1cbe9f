"""Stands in for TensorRT's Python package: the calls that the real one has, checked; ONNX Runtime as the engine.

An engine is JSON that names the program and its profile. Device memory is the host's.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnx

from tensorrt import cuda
from tensorrt.strict import API, VERSION, known

__version__ = f"{VERSION}.0"
cuda.install()

_TYPES = {1: ("FLOAT", np.float32), 6: ("INT32", np.int32), 7: ("INT64", np.int64), 10: ("HALF", np.float16)}


def __getattr__(name):
    if name in API and isinstance(API[name], type):
        return API[name]
    raise AttributeError(f"module 'tensorrt' has no attribute '{name}'")


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def __init__(self, *_):
        pass


class Logger(ILogger):
    pass


class HostMemory(bytes):
    """IHostMemory: a buffer that is also a context."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    @property
    def nbytes(self):
        return len(self)


def init_libnvinfer_plugins(logger, namespace):
    return True


def nptype(kind):
    return dict(_TYPES.values())[kind.name]


def _data_type(elem_type):
    return API["DataType"][_TYPES[elem_type][0]]


@known("ITensor")
class ITensor:
    def __init__(self, value):
        self.name = value.name
        self.dtype = _data_type(value.type.tensor_type.elem_type)
        self.shape = tuple(d.dim_value or -1 for d in value.type.tensor_type.shape.dim)
        self.is_shape_tensor = False


@known("INetworkDefinition")
class INetworkDefinition:
    def __init__(self, flags):
        assert flags & 1 << API["NetworkDefinitionCreationFlag"].STRONGLY_TYPED, "the network is not strongly typed"
        self.num_layers = 0
        self.inputs, self.outputs = [], []
        self.program = None

    def get_flag(self, flag):
        return flag == API["NetworkDefinitionCreationFlag"].STRONGLY_TYPED

    def __getitem__(self, index):
        raise IndexError(index)

    def get_input(self, index):
        return self.inputs[index]

    def get_output(self, index):
        return self.outputs[index]

    @property
    def num_inputs(self):
        return len(self.inputs)

    @property
    def num_outputs(self):
        return len(self.outputs)


@known("OnnxParser")
class OnnxParser:
    def __init__(self, network, logger):
        self.network = network
        self.num_errors = 0

    def parse_from_file(self, model):
        graph = onnx.load(model, load_external_data=False).graph
        self.network.program = str(Path(model).resolve())
        self.network.inputs = [ITensor(value) for value in graph.input]
        self.network.outputs = [ITensor(value) for value in graph.output]
        return True


@known("IOptimizationProfile")
class IOptimizationProfile:
    def __init__(self):
        self.shapes = {}

    def set_shape(self, input, min, opt, max):
        self.shapes[input] = [list(min), list(opt), list(max)]

    def get_shape(self, input):
        return self.shapes[input]

    def __bool__(self):
        return True


@known("ITimingCache")
class ITimingCache:
    def combine(self, input_cache, ignore_mismatch):
        return True

    def serialize(self):
        return HostMemory(b"timings")


@known("IBuilderConfig")
class IBuilderConfig:
    def __init__(self):
        self.profiles, self.cache, self.pools = [], None, {}
        self.profiling_verbosity = API["ProfilingVerbosity"].LAYER_NAMES_ONLY
        self.builder_optimization_level = 3
        self.engine_capability = API["EngineCapability"].STANDARD
        self.DLA_core = -1
        self.default_device_type = API["DeviceType"].GPU

    def set_memory_pool_limit(self, pool, pool_size):
        self.pools[pool] = pool_size

    def get_memory_pool_limit(self, pool):
        return self.pools.get(pool, 0)

    def create_timing_cache(self, serialized_timing_cache):
        return ITimingCache()

    def set_timing_cache(self, cache, ignore_mismatch):
        self.cache = cache
        return True

    def get_timing_cache(self):
        return self.cache

    def add_optimization_profile(self, profile):
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def get_flag(self, flag):
        return False

    def set_flag(self, flag):
        pass

    def clear_flag(self, flag):
        pass

    def get_tactic_sources(self):
        return 0

    def get_quantization_flag(self, flag):
        return False

    def get_preview_feature(self, feature):
        return False

    @property
    def num_optimization_profiles(self):
        return len(self.profiles)


@known("Builder")
class Builder:
    def __init__(self, logger):
        pass

    def create_network(self, flags=0):
        return INetworkDefinition(flags)

    def create_builder_config(self):
        return IBuilderConfig()

    def create_optimization_profile(self):
        return IOptimizationProfile()

    def build_serialized_network(self, network, config):
        assert config.pools, "no workspace was set"
        profile = {name: shapes for one in config.profiles for name, shapes in one.shapes.items()}
        return HostMemory(json.dumps({"program": network.program, "profile": profile}).encode())


@known("Runtime")
class Runtime:
    def __init__(self, logger):
        pass

    def deserialize_cuda_engine(self, serialized_engine):
        if not serialized_engine.startswith(b"{"):
            return None
        return ICudaEngine(json.loads(serialized_engine))


@known("ICudaEngine")
class ICudaEngine:
    device_memory_size_v2 = 1 << 20

    def __init__(self, plan):
        import onnxruntime as ort

        settings = ort.SessionOptions()
        settings.log_severity_level = 3
        # Of x86-64 without VNNI: what TensorRT multiplies cannot overflow.
        settings.add_session_config_entry("session.x64quantprecision", "1")
        self.plan = plan
        self.session = ort.InferenceSession(plan["program"], settings, providers=["CPUExecutionProvider"])
        graph = onnx.load(plan["program"], load_external_data=False).graph
        self.inputs = {value.name: value for value in graph.input}
        self.tensors = {**self.inputs, **{value.name: value for value in graph.output}}

    @property
    def num_io_tensors(self):
        return len(self.tensors)

    def get_tensor_name(self, index):
        return list(self.tensors)[index]

    def get_tensor_mode(self, name):
        return API["TensorIOMode"].INPUT if name in self.inputs else API["TensorIOMode"].OUTPUT

    def get_tensor_dtype(self, name):
        return _data_type(self.tensors[name].type.tensor_type.elem_type)

    def get_tensor_shape(self, name):
        return [d.dim_value or -1 for d in self.tensors[name].type.tensor_type.shape.dim]

    def get_tensor_location(self, name):
        return API["TensorLocation"].DEVICE

    def get_tensor_profile_shape(self, name, profile_index):
        return self.plan["profile"][name]

    def create_execution_context(self):
        return IExecutionContext(self)

    def create_engine_inspector(self):
        return EngineInspector(self)


@known("IExecutionContext")
class IExecutionContext:
    def __init__(self, engine):
        self._engine, self.shapes, self.addresses = engine, {}, {}

    def set_input_shape(self, name, shape):
        smallest, _, largest = self._engine.plan["profile"].get(name, (shape, shape, shape))
        fits = all(a <= b <= c for a, b, c in zip(smallest, shape, largest, strict=True))
        if fits:
            self.shapes[name] = tuple(shape)
        return fits

    def get_tensor_shape(self, name):
        known_sizes = {}
        for given, shape in self.shapes.items():
            dimensions = self._engine.tensors[given].type.tensor_type.shape.dim
            known_sizes |= {d.dim_param: n for d, n in zip(dimensions, shape, strict=True) if d.dim_param}
        dimensions = self._engine.tensors[name].type.tensor_type.shape.dim
        return [known_sizes[d.dim_param] if d.dim_param else d.dim_value for d in dimensions]

    def set_tensor_address(self, name, memory):
        self.addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle):
        assert stream_handle in cuda.STREAMS
        engine = self._engine
        kinds = {name: nptype(engine.get_tensor_dtype(name)) for name in engine.tensors}
        arrays = {name: cuda.view(self.addresses[name], self.shapes[name], kinds[name]) for name in engine.inputs}
        found = dict(zip([o.name for o in engine.session.get_outputs()], engine.session.run(None, arrays), strict=True))
        for name, array in found.items():
            error = float(os.environ.get("FAKE_ERROR", "0"))
            cuda.view(self.addresses[name], array.shape, kinds[name])[...] = array * (1 + error)
        return True


@known("EngineInspector")
class EngineInspector:
    def __init__(self, engine):
        self._engine, self.execution_context = engine, None

    def get_engine_information(self, format):
        assert format == API["LayerInformationFormat"].JSON
        graph = onnx.load(self._engine.plan["program"], load_external_data=False).graph
        makers = {name: node.op_type for node in graph.node for name in node.output}
        layers = []
        for node in graph.node:
            if node.op_type == "MatMul":
                quantized = all(makers.get(name) == "DequantizeLinear" for name in node.input)
                kind = "Int8" if quantized and "FAKE_NO_INT8" not in os.environ else "Row major linear FP16 format"
                if self.execution_context is None:
                    kind = "N/A due to dynamic shapes"
                tensor = {"Name": node.input[0], "Dimensions": [], "Format/Datatype": kind}
                metadata = f"[ONNX Layer: {node.name}]\u001e[ONNX Layer: other]"
                layers.append({"Name": "gemm", "LayerType": "gemm", "Inputs": [tensor], "Metadata": metadata})
        return json.dumps({"Layers": layers, "Bindings": list(self._engine.tensors)})
