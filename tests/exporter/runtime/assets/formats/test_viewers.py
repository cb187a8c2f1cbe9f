"""What `t3export run` writes has its colour in Google's model-viewer and in three.js, in headless Chromium."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exporter.runtime.assets import optional
from t3export.cli import run
from tests.node import CLIENT
from tests.web_page import LONGEST, served

# By file: its prompt's colour as a channel, and the options of its run.
FILES = {"textured": ("red", []), "colored": ("green", ["--texture", "none"]), "compressed": ("blue", ["--compress"])}
CHANNELS = ("red", "green", "blue")

MODEL_VIEWER = """<!doctype html><title>loading</title>
<script>
  // A model-viewer unpacks meshopt with its own decoder as soon as any place is given for another.
  self.ModelViewerElement = { meshoptDecoderLocation: "data:text/javascript," };
</script>
<script type="module" src="node_modules/@google/model-viewer/dist/model-viewer.min.js"></script>
<style>model-viewer { width: 160px; height: 160px; display: inline-block }</style>
%s
<script type="module">
  for (const shown of document.querySelectorAll("model-viewer")) {
    if (!shown.loaded) await new Promise((done) => shown.addEventListener("load", done));
  }
  document.title = "loaded";
</script>"""
ELEMENT = '<model-viewer id="%s" src="%s.glb" alt="a ball" loading="eager" interaction-prompt="none"></model-viewer>'

THREE = """<!doctype html><title>loading</title>
<script type="importmap">{"imports": {
  "three": "./node_modules/three/build/three.module.min.js", "jsm/": "./node_modules/three/examples/jsm/"
}}</script>
<style>canvas { width: 160px; height: 160px }</style>
%s
<script type="module">
  import * as three from "three";
  import { GLTFLoader } from "jsm/loaders/GLTFLoader.js";
  import { MeshoptDecoder } from "jsm/libs/meshopt_decoder.module.js";
  const loader = new GLTFLoader().setMeshoptDecoder(MeshoptDecoder);
  for (const canvas of document.querySelectorAll("canvas")) {
    const { scene } = await loader.loadAsync(`${canvas.id}.glb`);
    scene.add(new three.HemisphereLight(0xffffff, 0xffffff, 3));
    const camera = new three.PerspectiveCamera(40, 1);
    camera.position.z = 3;
    new three.WebGLRenderer({ canvas, preserveDrawingBuffer: true }).render(scene, camera);
  }
  document.title = "loaded";
</script>"""
CANVAS = '<canvas id="%s" width="160" height="160" aria-label="%s"></canvas>'


@pytest.fixture(scope="module")
def folder(toy_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of each kind beside the packages of npm."""
    folder = tmp_path_factory.mktemp("viewers")
    for name, (color, options) in FILES.items():
        if "--compress" in options and not optional.is_installed("meshopt"):
            continue
        output = ["--prompt", f"a {color} ball", "-o", str(folder / f"{name}.glb")]
        assert run(["run", str(toy_bundle), *output, "--triangles", "1000", *options]) == 0
    (folder / "node_modules").symlink_to(CLIENT / "node_modules")
    return folder


@pytest.mark.parametrize(
    ("page", "element"), [(MODEL_VIEWER, ELEMENT), (THREE, CANVAS)], ids=["model-viewer", "three.js"]
)
def test_it_shows_the_color_of_each_file(browser: Any, folder: Path, page: str, element: str) -> None:
    files = sorted(path.stem for path in folder.glob("*.glb"))
    assert {"textured", "colored"} <= set(files)
    (folder / "page.html").write_text(page % "".join(element % (name, name) for name in files), encoding="utf-8")
    context = browser.new_context(viewport={"width": 560, "height": 200})
    opened, heard = context.new_page(), []
    opened.on("pageerror", lambda error: heard.append(str(error)))
    with served(folder) as url:
        context.on(
            "request",
            lambda request: None if request.url.startswith((url, "blob:", "data:")) else heard.append(request.url),
        )
        opened.goto(f"{url}page.html")
        opened.wait_for_function("document.title === 'loaded'", timeout=LONGEST)
        opened.wait_for_timeout(500)
        pictures = {name: opened.locator(f"#{name}").screenshot() for name in files}
    context.close()
    assert heard == []
    for name, picture in pictures.items():
        middle = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), float)[70:90, 70:90].mean(axis=(0, 1))
        wanted = CHANNELS.index(FILES[name][0])
        assert middle[wanted] > 100 and np.delete(middle, wanted).max() < middle[wanted] / 2, (name, middle)
