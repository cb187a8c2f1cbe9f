"""A foreign program brought into a bundle: whole, with its weights, under the pipeline's names."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from exporter.adopt.ports import rename_ports
from exporter.errors import BundleError, did_you_mean
from exporter.graphs.program_files import PROGRAM, copy_weights, external_files


class NoSuchPort(BundleError):
    """`tensor`: what of the pipeline was to come from a port that is not there."""

    def __init__(self, message: str, tensor: str) -> None:
        super().__init__(message)
        self.tensor = tensor


def take_program(source: Path, folder: Path, ports: Mapping[str, str]) -> Path:
    """The program as `program.onnx` in a new folder, its external weights beside it; its path there.

    `ports`: by the new name, the program's own. Without any the bytes stay as they are. Raises BundleError for a file
    that is no ONNX and for weights that do not lie beside it, NoSuchPort.
    """
    try:
        model = onnx.load(source, format="protobuf", load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise BundleError(f"{source} is no ONNX program ({error})") from None
    _require_weights_beside(model, source)
    folder.mkdir(parents=True)
    copy_weights(model, source.parent, folder)
    # A port whose old name is its new one needs nothing.
    names = {old: new for new, old in ports.items() if old != new}
    _require_ports(model, names, source)
    if not names:
        shutil.copyfile(source, folder / PROGRAM)
    else:
        rename_ports(model, names)
        onnx.save(model, folder / PROGRAM)
    return folder / PROGRAM


def _require_weights_beside(model: onnx.ModelProto, source: Path) -> None:
    for name in external_files(model):
        if Path(name).name != name or name == PROGRAM:
            raise BundleError(f"{source}: its weights are in '{name}'; they have to lie beside the program")
        if not (source.parent / name).is_file():
            raise BundleError(f"{source}: its weights are in '{name}', which is not beside it")


def _require_ports(model: onnx.ModelProto, names: Mapping[str, str], source: Path) -> None:
    stored = {tensor.name for tensor in model.graph.initializer}
    present = [value.name for value in (*model.graph.input, *model.graph.output) if value.name not in stored]
    for name, tensor in names.items():
        if name not in present:
            raise NoSuchPort(f"{source} has no port '{name}'; {did_you_mean(name, present)}", tensor)
