"""What the shipped recipes make, as digests: run before and after a change that must not change behaviour.

    python -m tests.characterisation before.json
    python -m tests.characterisation after.json --against before.json

Every file of every bundle but what was measured and the manifest, and the GLB of one prompt from Python and the web
client. The figures belong to one machine: goldens are computed in floating point.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))
TARGETS = ("cpu", "web", "orin", "cpu-executorch")
MEASURED = ("perf.yaml", "numerics.yaml", "client/", "README.md", "verify.py", "cuda_runtime.py", "tensorrt_engine.py")
PROMPT, REFUSED = "a red chair", 2


def t3export(*arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", "t3export", *arguments], capture_output=True).returncode


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digests(recipe: Path, target: str, folder: Path) -> dict[str, str]:
    """Digest of each file of a bundle by its name, and of what it makes; how it ended where there is none."""
    bundle = folder / recipe.stem / target
    code = t3export("build", str(recipe), "--target", target, "--allow", "no-gain", "-o", str(bundle))
    if code:
        return {"": "refused" if code == REFUSED else f"exit code {code}"}
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    found = {name: part["sha256"] for name, part in files.items() if not name.startswith(MEASURED)}
    glb = folder / "object.glb"
    if target in ("cpu", "cpu-executorch"):
        t3export("run", str(bundle), "--prompt", PROMPT, "--grid", "64", "--texture", "none", "-o", str(glb))
        found["object"] = sha256(glb)
    if target == "web":
        client = Path(__file__).parents[1] / "exporter/runtime/web/generate.js"
        command = ["node", str(client), PROMPT, "--bundle", str(bundle), "--grid", "64", "-o", str(glb)]
        command += ["--texture", "none"]
        subprocess.run(command, check=True, capture_output=True)
        found["object"] = sha256(glb)
    glb.unlink(missing_ok=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--against", type=Path)
    given = parser.parse_args()
    found: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for target in TARGETS:
            for recipe in RECIPES:
                found[f"{recipe.stem}/{target}"] = digests(recipe, target, Path(folder))
                given.output.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
                print(f"{recipe.stem}/{target}: {len(found[f'{recipe.stem}/{target}'])} digests", flush=True)
    before = json.loads(given.against.read_text()) if given.against else found
    changed = [
        f"{pair}: {name}"
        for pair in sorted({*before, *found})
        for name in sorted({*before.get(pair, {}), *found.get(pair, {})})
        if before.get(pair, {}).get(name) != found.get(pair, {}).get(name)
    ]
    print("\n".join([f"changed {line}" for line in changed] or ["nothing changed"]))
    sys.exit(bool(changed))


if __name__ == "__main__":
    main()
