"""The page's viewer frees what it no longer shows, in headless Chromium."""

from __future__ import annotations

from pathlib import Path

from tests.browser import chromium
from tests.exporter.runtime.web.foreign_page import write_foreign_page
from tests.web_page import opened, served

SHOW = """async () => {
    const { Viewer } = await import("/client/page/viewer.js");
    const viewer = new Viewer(document.createElement("canvas"));
    const positions = Float32Array.of(0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1);
    const colors = new Float32Array(12).fill(0.5);
    const faces = Uint32Array.of(0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3);
    const made = { mesh: { vertices: positions, faces, colors }, points: { positions, colors } };
    const taken = [];
    for (const asset of ["mesh", "mesh", "points", "points", "mesh"]) {
        viewer.show(asset, made[asset]);
        viewer.render();
        const shown = viewer.object;
        viewer.pictureOf("points", made.points);
        viewer.render();
        const { geometries, textures } = viewer.webgl.info.memory;
        taken.push([geometries, textures, viewer.object === shown]);
    }
    return taken;
}"""


def test_only_what_is_shown_takes_memory(tmp_path: Path):
    folder = write_foreign_page(tmp_path / "bundle")
    with served(folder) as url, chromium() as browser, opened(browser, url) as (page, heard):
        first, second, points, more_points, third = page.evaluate(SHOW)
        # A body and its shadow, whose texture is not the only one: three.js has one for meshes, points have theirs.
        assert first == second == third == [2, 2, True]
        assert points == more_points == [2, 3, True] and heard == []
