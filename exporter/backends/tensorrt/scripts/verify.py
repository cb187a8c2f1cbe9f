"""Proves the TensorRT engines of this bundle on the device they were built on.

    python3 verify.py

Every stage runs on inputs recorded from real prompts and is compared with what PyTorch made of them; the quantized
layers must run in INT8; each stage is timed. Needs numpy and TensorRT 10.3 or newer for this Python, nothing else.
Writes reports/device.json. Exit codes: 0 all is well, 5 a tolerance was missed, 6 something is missing here.
"""

import os
import sys

# This folder comes last, and once: a statistics.py or numpy.py that happens to lie in it is not meant.
sys.path.append(os.path.dirname(os.path.realpath(__file__)))
sys.path[:] = reversed(dict.fromkeys(reversed(sys.path)))

import json
import platform
import statistics
from pathlib import Path

try:
    import numpy as np
    import tensorrt
    from cuda_runtime import CudaError, CudaRuntime
    from tensorrt_engine import Engine, EngineError
except ModuleNotFoundError as error:
    print(f"error: this Python has no package '{error.name}'. On a Jetson use the system's: /usr/bin/python3 verify.py "
          "(sudo apt install python3-libnvinfer python3-numpy); elsewhere pip install tensorrt numpy",
          file=sys.stderr)  # fmt: skip
    sys.exit(6)

HERE = Path(__file__).resolve().parent
REPORT = HERE / "reports" / "device.json"
OLDEST = (10, 3)
REPEATS = 20
INT8_SIGNS = ("int8", "i8i8", "imma")


def snr_db(reference: np.ndarray, actual: np.ndarray) -> float:
    """10 log10(|reference|² / |difference|²); -inf for a value that is not finite."""
    a, b = reference.astype(np.float64).ravel(), actual.astype(np.float64).ravel()
    if not np.isfinite(b).all():
        return float("-inf")
    difference, norm = np.linalg.norm(a - b), np.linalg.norm(a)
    if difference == 0:
        return float("inf")
    return float(20 * np.log10(norm / difference)) if norm else float("-inf")


def read_golden(name: str) -> dict:
    with np.load(HERE / name, allow_pickle=False) as file:
        return dict(file)


def held_to_goldens(engine: Engine, stage: dict) -> list:
    """The SNR of each output on each recorded file."""
    figures = []
    for name in stage["goldens"]:
        golden = read_golden(name)
        found = engine.run(golden)
        figures += [{"golden": name, "tensor": t, "snr_db": snr_db(golden[t], found[t])} for t in stage["outputs"]]
    return figures


def first_in_profile(stage: dict) -> dict:
    """Inputs for timing: the first recorded file, with no more rows than most runs have."""
    golden = read_golden(stage["goldens"][0])
    usual = {name: shapes["opt"] for name, shapes in stage["inputs"].items()}
    return {name: golden[name][: opt[0]] if opt else golden[name] for name, opt in usual.items()}


def products_in_int8(information: str, products: list) -> dict:
    """Which of the quantized products run in INT8, which do not, and which the engine does not name."""
    layers = json.loads(information).get("Layers", [])
    texts = []
    for layer in layers:
        if not isinstance(layer, dict):
            continue
        types = [str(v) for t in layer.get("Inputs", []) for k, v in t.items() if k in ("Format/Datatype", "Datatype")]
        text = " ".join([*types, str(layer.get("TacticName", ""))]).lower()
        names = f"{layer.get('Name', '')} {layer.get('Metadata', '')}"
        texts.append((names, any(sign in text for sign in INT8_SIGNS)))
    found: dict[str, list] = {"int8": [], "floating_point": [], "not_named": []}
    for product in products:
        # A name may begin another: what follows it must not go on with it.
        hits = [is_int8 for names, is_int8 in texts if names_it(names, product)]
        found["not_named" if not hits else "int8" if any(hits) else "floating_point"].append(product)
    return found


def names_it(text: str, name: str) -> bool:
    """Whether a text holds a node's name as a whole."""
    start = text.find(name)
    while start >= 0:
        after = text[start + len(name) : start + len(name) + 1]
        if not (after.isalnum() or after in ("_", "/", ".")) or not after:
            return True
        start = text.find(name, start + 1)
    return False


def check_stage(stage: dict) -> dict:
    """All that is found out about one stage, with the reasons why it fails."""
    engine = Engine(HERE / stage["engine"])
    figures = held_to_goldens(engine, stage)
    inputs = first_in_profile(stage)
    information = engine.layer_information(inputs)
    (HERE / "reports" / f"{Path(stage['engine']).stem}.layers.json").write_text(information, encoding="utf-8")
    products = products_in_int8(information, stage["int8_products"])
    times = [1000 * second for second in engine.seconds(inputs, REPEATS)]
    memory = engine.memory_bytes
    engine.close()
    worst = min(figures, key=lambda figure: figure["snr_db"])
    problems = []
    if not worst["snr_db"] >= stage["snr_db"]:
        problems.append(
            f"{worst['tensor']} of {worst['golden']}: {worst['snr_db']:.1f} dB, {stage['snr_db']:.1f} wanted"
        )
    if products["floating_point"]:
        problems.append(f"not in INT8: {', '.join(products['floating_point'])}")
    if stage["int8_products"] and not products["int8"]:
        problems.append("the engine's layer information shows no quantized product in INT8")
    return {
        "passed": not problems,
        "problems": problems,
        "worst": worst,
        "limit_db": stage["snr_db"],
        "figures": figures,
        "int8": {kind: len(names) for kind, names in products.items()},
        "milliseconds": {"median": statistics.median(times), "least": min(times), "most": max(times)},
        "bytes": (HERE / stage["engine"]).stat().st_size,
        "device_memory_bytes": memory,
    }


def describe_device(cuda: CudaRuntime) -> dict:
    """GPU, versions and board, for the report."""
    board = Path("/proc/device-tree/model")
    release = Path("/etc/nv_tegra_release")
    facts = {
        "tensorrt": tensorrt.__version__,
        "compute_capability": cuda.compute_capability,
        **cuda.versions,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    if board.exists():
        facts["board"] = board.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    if release.exists():
        facts["jetson_linux"] = release.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
    return facts


def require_device(kit: dict, device: dict) -> None:
    """Leaves with a reason unless this is a GPU and a TensorRT that the kit is for."""
    version = tuple(int(part) for part in device["tensorrt"].split(".")[:2])
    if version < OLDEST:
        leave(
            f"TensorRT {device['tensorrt']} is too old; {'.'.join(map(str, OLDEST))} or newer (JetPack 6.1) is needed"
        )
    if device["compute_capability"] not in kit["compute_capabilities"]:
        wanted = " or ".join(kit["compute_capabilities"])
        leave(
            f"this GPU has compute capability {device['compute_capability']}; the kit is for {wanted} ({kit['target']})"
        )


def leave(reason: str) -> None:
    print(f"error: {reason}", file=sys.stderr)
    sys.exit(6)


def verify(kit: dict, device: dict) -> dict:
    """Check every stage and write the report; the report."""
    REPORT.parent.mkdir(exist_ok=True)
    stages = {}
    for name, stage in kit["stages"].items():
        print(f"== {name}", flush=True)
        stages[name] = result = check_stage(stage)
        print(f"   worst {result['worst']['snr_db']:.1f} dB, {stage['snr_db']:.1f} wanted; "
              f"{result['milliseconds']['median']:.2f} ms; quantized products {result['int8']}")  # fmt: skip
        for problem in result["problems"]:
            print(f"   FAILED {problem}")
    report = {"passed": all(one["passed"] for one in stages.values()), "device": device, "stages": stages}
    REPORT.write_text(json.dumps(plain(report), indent=2) + "\n", encoding="utf-8")
    return report


def plain(value: object) -> object:
    """JSON has no infinity: a string instead."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def main() -> int:
    kit = json.loads((HERE / "kit.json").read_text(encoding="utf-8"))
    missing = [stage["engine"] for stage in kit["stages"].values() if not (HERE / stage["engine"]).exists()]
    if missing:
        leave(f"{', '.join(missing)}: not built yet. First: bash build_engines.sh")
    try:
        device = describe_device(CudaRuntime())
        require_device(kit, device)
        report = verify(kit, device)
    except (CudaError, EngineError) as error:
        leave(str(error))
    print(f"{'All is well' if report['passed'] else 'FAILED'}: {REPORT}")
    return 0 if report["passed"] else 5


if __name__ == "__main__":
    sys.exit(main())
