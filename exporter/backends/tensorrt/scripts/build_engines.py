"""Builds the TensorRT engines of this bundle with Polygraphy, on the device that is to run them.

    pip install polygraphy
    python3 build_engines.py             all of them
    python3 build_engines.py STAGE       only this one

Needs TensorRT 10.3 or newer for this Python. `bash build_engines.sh` does the same with trtexec. An engine runs on the
GPU and with the TensorRT that it was built with: build again after an upgrade.
"""

import os
import sys

# This folder comes last, and once: a statistics.py or numpy.py that happens to lie in it is not meant.
sys.path.append(os.path.dirname(os.path.realpath(__file__)))
sys.path[:] = reversed(dict.fromkeys(reversed(sys.path)))

import json
from pathlib import Path

try:
    import tensorrt
    from polygraphy.backend.trt import CreateConfig, EngineBytesFromNetwork, NetworkFromOnnxPath, Profile
except ModuleNotFoundError as error:
    print(f"error: this Python has no package '{error.name}'. On a Jetson use the system's: sudo apt install "
          "python3-libnvinfer, /usr/bin/python3 -m pip install polygraphy, then /usr/bin/python3 build_engines.py; "
          "elsewhere pip install tensorrt polygraphy. Or build with trtexec: bash build_engines.sh",
          file=sys.stderr)  # fmt: skip
    sys.exit(6)

HERE = Path(__file__).resolve().parent
CACHE = HERE / "engines" / "timing.cache"


def build(kit: dict, stage: dict) -> None:
    """Write the engine of one stage. The types are in the graph: strongly typed, and no precision flags."""
    profile = Profile()
    for name, shapes in stage["inputs"].items():
        if shapes["dynamic"]:
            profile.add(name, min=shapes["min"], opt=shapes["opt"], max=shapes["max"])
    config = CreateConfig(
        profiles=[profile],
        load_timing_cache=str(CACHE) if CACHE.exists() else None,
        memory_pool_limits={tensorrt.MemoryPoolType.WORKSPACE: kit["workspace_mb"] << 20},
        builder_optimization_level=kit["optimization_level"],
        profiling_verbosity=tensorrt.ProfilingVerbosity.DETAILED,
    )
    network = NetworkFromOnnxPath(str(HERE / stage["program"]), strongly_typed=True)
    engine = EngineBytesFromNetwork(network, config, save_timing_cache=str(CACHE))()
    part = HERE / (stage["engine"] + ".part")
    part.write_bytes(memoryview(engine))
    part.replace(HERE / stage["engine"])


def main(chosen: list) -> None:
    kit = json.loads((HERE / "kit.json").read_text(encoding="utf-8"))
    unknown = set(chosen) - set(kit["stages"])
    if unknown:
        sys.exit(f"no stage {', '.join(sorted(unknown))}; this bundle has {', '.join(kit['stages'])}")
    CACHE.parent.mkdir(exist_ok=True)
    for name, stage in kit["stages"].items():
        if not chosen or name in chosen:
            print(f"== {name}: building (minutes at the first time)", flush=True)
            build(kit, stage)
    CACHE.with_name(CACHE.name + ".lock").unlink(missing_ok=True)
    print("Engines are built. Now: python3 verify.py")


if __name__ == "__main__":
    main(sys.argv[1:])
