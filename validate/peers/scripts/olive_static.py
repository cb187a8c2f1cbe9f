"""Olive's OnnxStaticQuantization pass with its defaults."""

import tempfile
from pathlib import Path

import onnx
import torch
from olive.data.registry import Registry
from olive.workflows import run
from recorded import Recorded, main


def quantize(program: Path, output: Path, recorded: Recorded) -> None:
    @Registry.register_dataset("recorded")
    def shards(**_):
        return [({name: torch.from_numpy(array) for name, array in inputs.items()}, 0) for inputs in recorded]

    with tempfile.TemporaryDirectory() as folder:
        result = run(
            {
                "input_model": {"type": "OnnxModel", "model_path": str(program)},
                "data_configs": [
                    {
                        "name": "recorded",
                        "type": "DataContainer",
                        "load_dataset_config": {"type": "recorded"},
                        "pre_process_data_config": {"type": "skip_pre_process"},
                        "dataloader_config": {"type": "no_auto_batch_dataloader"},
                    }
                ],
                "passes": {"quantize": {"type": "OnnxStaticQuantization", "data_config": "recorded"}},
                "cache_dir": f"{folder}/cache",
                "output_dir": f"{folder}/out",
            }
        )
        onnx.save(onnx.load(result.get_best_candidate().model_path), output)


main(quantize)
