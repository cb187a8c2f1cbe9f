"""What this extension was packed from: about.json and the bundle, beside this file."""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BUNDLE = HERE / "bundle"
ABOUT: dict[str, Any] = json.loads((HERE / "about.json").read_text(encoding="utf-8"))
"""`id`, `name`, `takes` (text, picture or neither), `negative`, `qualities` and `requirement`, what pip installs."""
