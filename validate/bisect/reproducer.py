"""A folder that shows a fault by itself: the smallest part of a program, its inputs, and what should come out."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np

from exporter.errors import BundleError
from exporter.files.atomic import write_atomically
from exporter.runtime.sessions.onnxruntime import exact_sums
from validate.bisect.graphs import Arrays
from validate.bisect.search import Culprit

FILES = ("model.onnx", "inputs.npz", "expected.npz", "run.py")
_RUN = '''"""{told}

Needs numpy and onnxruntime. Exit code 1 while the fault is there, 0 when it is mended.
"""

import os
import sys
from pathlib import Path

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

HERE = Path(__file__).parent
LIMIT_DB = {limit!r}

settings = onnxruntime.SessionOptions()
for name, value in {entries!r}.items():
    settings.add_session_config_entry(name, value)
session = onnxruntime.InferenceSession(HERE / "model.onnx", settings, providers=["CPUExecutionProvider"])
found = session.run(None, dict(np.load(HERE / "inputs.npz")))[0].astype(np.float64)
(name, expected), = np.load(HERE / "expected.npz").items()
noise, signal = np.square(found - expected).sum(), np.square(expected.astype(np.float64)).sum()
snr_db = 10 * np.log10(signal / noise) if noise and np.isfinite(noise) else (np.inf if noise == 0 else -np.inf)
print(f"{{name}}: {{snr_db:.2f}} dB, at least {{LIMIT_DB:g}} dB wanted")
sys.exit(int(snr_db < LIMIT_DB))
'''


def write_reproducer(culprit: Culprit, folder: Path) -> None:
    """Write the four files into a new or empty folder, or over an earlier reproducer.

    Raises BundleError for a folder that holds anything else, EnvironmentProblem where nothing can be written.
    """
    others = [path.name for path in folder.iterdir() if path.name not in FILES] if folder.is_dir() else []
    if folder.is_file() or others:
        raise BundleError(f"{folder} holds something else ({', '.join(others) or 'a file'}); give an empty folder")
    model = type(culprit.part)()
    model.CopyFrom(culprit.part)
    for name, content in (
        ("model.onnx", model.SerializeToString()),
        ("inputs.npz", _npz(culprit.inputs)),
        ("expected.npz", _npz({culprit.tensor: culprit.expected})),
        ("run.py", _RUN.format(told=_told(culprit), limit=culprit.limit_db, entries=exact_sums()).encode()),
    ):
        write_atomically(folder / name, content)


def _npz(arrays: Arrays) -> bytes:
    written = io.BytesIO()
    np.savez(written, allow_pickle=False, **arrays)
    return written.getvalue()


def _told(culprit: Culprit) -> str:
    """One sentence as the text of a docstring, whatever the names are."""
    name = json.dumps(f"{culprit.stage}, {culprit.tensor}")[1:-1].replace("'''", "")
    return f"The part of {name} that strays from the float program ({len(culprit.nodes)} nodes).".replace('"', "'")
