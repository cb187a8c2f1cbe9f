"""NNCF's post-training quantization of ONNX with its defaults, for a transformer, on all recorded inputs."""

from pathlib import Path

import nncf
import onnx
from recorded import Recorded, main


def quantize(program: Path, output: Path, recorded: Recorded) -> None:
    shards = [recorded[index] for index in range(len(recorded))]
    settings = {"model_type": nncf.ModelType.TRANSFORMER, "subset_size": len(shards)}
    onnx.save(nncf.quantize(onnx.load(program), nncf.Dataset(shards), **settings), output)


main(quantize)
