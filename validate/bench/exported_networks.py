"""A network of the PyTorch original that another tool exported with nothing said, in the place of the network."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from exporter.errors import EnvironmentProblem
from exporter.machine.quiet import quiet
from exporter.runtime.sessions.openvino import NOT_INSTALLED

OnArrays = Callable[[list[np.ndarray]], list[np.ndarray]]


class Exported(torch.nn.Module):
    """Exports its network at first use, for the shapes that come then."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network
        self._run: OnArrays | None = None

    def forward(self, *args: Any, **named: Any) -> Any:
        if self._run is None:
            with torch.inference_mode(False), torch.no_grad():
                given, own = tree_map(lambda x: x.clone() if torch.is_tensor(x) else x, (args, named))
                self._run = self.export(given, own)
                _, self._outputs = tree_flatten(self.network(*given, **own))
        tensors, _ = tree_flatten((args, named))
        made = self._run([tensor.numpy() for tensor in tensors])
        return tree_unflatten([torch.from_numpy(array) for array in made], self._outputs)

    @abstractmethod
    def export(self, args: Any, named: Any) -> OnArrays:
        """What takes and gives the network's tensors, flattened, as numpy arrays."""


class PlainExport(Exported):
    """By torch.onnx.export, on ONNX Runtime as it comes."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__(network)
        self._folder = TemporaryDirectory(prefix="t3export-plain-")

    def export(self, args: Any, named: Any) -> OnArrays:
        import onnxruntime

        program = Path(self._folder.name) / "program.onnx"
        with quiet("torch.onnx", "torch.export", "onnxscript", "onnx_ir"):
            torch.onnx.export(self.network, args, program, kwargs=named, external_data=True, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(str(program), options)
        names = [value.name for value in session.get_inputs()]
        return lambda arrays: session.run(None, dict(zip(names, arrays, strict=True)))


class ConvertedByOpenVino(Exported):
    """By the converter behind `openvino.convert_model`, as OpenVINO's notebooks have it, computed in float32.

    The converter is called past that function, which reports to its maker. Raises EnvironmentProblem without OpenVINO.
    """

    def export(self, args: Any, named: Any) -> OnArrays:
        if find_spec("openvino") is None:
            raise EnvironmentProblem(NOT_INSTALLED)
        import openvino
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

        leaves, structure = tree_flatten((args, named))
        network = self.network

        class Flat(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.network = network

            def forward(self, *flat: torch.Tensor) -> Any:
                own_args, own_named = tree_unflatten(flat, structure)
                return self.network(*own_args, **own_named)

        converter = FrontEndManager().load_by_framework("pytorch")
        with quiet("openvino", "torch.jit"):
            # The converter reads from it, and keeps no reference of its own.
            decoder = TorchScriptPythonDecoder(Flat(), example_input=tuple(leaves))
            model = converter.convert(converter.load(decoder))
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": str(torch.get_num_threads()),
        }
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        return lambda arrays: [np.array(found) for found in compiled(arrays).values()]
