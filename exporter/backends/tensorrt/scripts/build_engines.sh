#!/usr/bin/env bash
# Builds the TensorRT engines of this bundle with trtexec, on the device that is to run them. TensorRT 10.3 or newer.
#   bash build_engines.sh             all of them
#   bash build_engines.sh STAGE       only this one
# An engine runs on the GPU and with the TensorRT that it was built with: build again after an upgrade.
set -euo pipefail
cd "$(dirname "$0")"

TRTEXEC=${TRTEXEC:-$(command -v trtexec || echo /usr/src/tensorrt/bin/trtexec)}
if [ ! -x "$TRTEXEC" ]; then
  echo "trtexec was not found. On a Jetson: sudo apt install nvidia-jetpack; elsewhere set TRTEXEC=/path/to/trtexec," >&2
  echo "or build with Python: pip install polygraphy, then python3 build_engines.py" >&2
  exit 6
fi
mkdir -p engines reports
chosen=" $* "

build() {
  local stage=$1
  shift
  if [ "$chosen" != "  " ] && [[ "$chosen" != *" $stage "* ]]; then return 0; fi
  echo "== $stage: building (minutes at the first time), log in reports/build_$stage.log"
  # The types are in the graph, so no --fp16, no --int8 and no --best.
  "$TRTEXEC" --onnx="$stage/program.onnx" --stronglyTyped --saveEngine="engines/$stage.plan.part" "$@" \
    --timingCacheFile=engines/timing.cache --builderOptimizationLevel=@LEVEL@ --memPoolSize=workspace:@WORKSPACE@ \
    --profilingVerbosity=detailed --skipInference >"reports/build_$stage.log" 2>&1 ||
    { tail -n 20 "reports/build_$stage.log" >&2; echo "trtexec failed on $stage: reports/build_$stage.log" >&2; exit 1; }
  mv "engines/$stage.plan.part" "engines/$stage.plan"
}

@STAGES@
echo "Engines are built. Now: python3 verify.py"
