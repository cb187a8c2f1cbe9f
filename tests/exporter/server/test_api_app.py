"""A request in, the file of its object out."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
import zipfile

import anyio
import numpy as np
import pytest
import trimesh
from PIL import Image

from exporter.runtime.bundle import Bundle
from exporter.server import api_request, request_body

GENERATE = "/v1/generate"
SMALL = {"prompt": "a red ball", "grid": 12, "texture": False}


def events(text: str) -> list[tuple[str, dict]]:
    """Name and data of server-sent events."""
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")]
    return [(block["event"], json.loads(block["data"])) for block in blocks]


def picture(color: tuple[int, int, int]) -> bytes:
    stored = io.BytesIO()
    Image.new("RGB", (16, 12), color).save(stored, "PNG")
    return stored.getvalue()


def asgi_scope():
    """A request for events as uvicorn hands it over."""
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"accept", b"text/event-stream")]
    scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "method": "POST"}
    return scope | {"path": GENERATE, "raw_path": GENERATE.encode(), "query_string": b"", "headers": headers}


def ends(condition):
    """Whether it comes true before long."""
    until = time.monotonic() + 10
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def test_the_file_is_the_one_that_the_bundle_saves(client_of, bundle, tmp_path):
    answer = client_of(bundle).post(GENERATE, json={"prompt": "a red ball", "seed": 3, "grid": 16, "texture": 64})
    assert answer.status_code == 200 and answer.headers["content-type"] == "model/gltf-binary"
    assert answer.headers["content-disposition"] == 'attachment; filename="object.glb"'
    bundle.generate("a red ball", seed=3, grid=16).save(tmp_path / "object.glb", texture=64)
    assert answer.content == (tmp_path / "object.glb").read_bytes()


@pytest.mark.parametrize("name", ["ply", "stl", "png"])
def test_a_format_is_one_file(client_of, bundle, tmp_path, name):
    answer = client_of(bundle).post(GENERATE, json=SMALL | {"format": name})
    bundle.generate("a red ball", grid=12).save(tmp_path / f"object.{name}", texture=False)
    assert answer.status_code == 200 and answer.content == (tmp_path / f"object.{name}").read_bytes()


def test_an_obj_with_its_texture_is_a_zip(client_of, bundle):
    answer = client_of(bundle).post(GENERATE, json={"prompt": "a red ball", "grid": 12, "format": "obj", "texture": 64})
    assert answer.headers["content-type"] == "application/zip"
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert names[0] == "object.obj" and {"object.mtl", "object.png"} < set(names)


def test_values_do_what_they_say(client_of, bundle):
    client = client_of(bundle)
    few = client.post(GENERATE, json=SMALL | {"format": "stl", "triangles": 100, "watertight": True}).content
    assert 4 <= len(trimesh.load(io.BytesIO(few), file_type="stl").faces) <= 100
    coarse, fine = (client.post(GENERATE, json=SMALL | {"grid": grid}).content for grid in (8, 24))
    assert len(coarse) < len(fine)


def test_a_form_is_taken_as_json_is(client_of, bundle):
    client = client_of(bundle)
    form = {"prompt": "a red ball", "grid": "12", "texture": "false", "seed": "7"}
    answer = client.post(GENERATE, files={name: (None, value) for name, value in form.items()})
    assert answer.status_code == 200
    assert answer.content == client.post(GENERATE, json=SMALL | {"seed": 7}).content


def test_a_picture_in_base64_and_in_a_form(client_of, picture_bundle, tmp_path):
    client, stored = client_of(picture_bundle), picture((0, 0, 255))
    rest = {"grid": 12, "texture": False, "format": "ply"}
    answer = client.post(GENERATE, json=rest | {"picture": base64.b64encode(stored).decode()})
    assert answer.status_code == 200, answer.text
    colors = trimesh.load(io.BytesIO(answer.content), file_type="ply").visual.vertex_colors
    assert np.ptp(colors, axis=0).max() == 0 and tuple(colors[0]) == (0, 0, 255, 255)
    form = {name: (None, str(value).lower()) for name, value in rest.items()}
    form |= {"picture": ("../../photo.png", stored, "image/png")}
    assert client.post(GENERATE, files=form).content == answer.content


@pytest.mark.parametrize(
    "body, told",
    [
        ({}, "prompt: missing"),
        ({"prompt": "  "}, "prompt: words that say what to make are expected"),
        ({"prompt": "x" * 5000}, "at most 4096 characters"),
        ({"prompt": "a ball", "seed": -1}, "seed: a whole number from 0 to 2^64 - 1"),
        ({"prompt": "a ball", "seed": "7"}, "seed: a whole number"),
        ({"prompt": "a ball", "grid": 400}, "grid: at most 256 here"),
        ({"prompt": "a ball", "grid": 32, "quality": "draft"}, "give grid or quality, not both"),
        ({"prompt": "a ball", "format": "gbl"}, "did you mean 'glb'"),
        ({"prompt": "a ball", "format": "usdz"}, "usd-core writes it through a folder"),
        ({"prompt": "a ball", "format": "../../x.glb"}, "format: no '../../x.glb'"),
        ({"prompt": "a ball", "sede": 1}, "did you mean 'seed'"),
        ({"prompt": "a ball", "negative": "legs"}, "negative: this bundle takes no such field"),
        ({"prompt": "a ball", "picture": "/etc/passwd"}, "picture: this bundle takes no such field"),
        ({"prompt": "a ball", "texture": 10**9}, "texture: a whole number from 64 to 4096"),
        ({"prompt": "a ball", "texture": 256, "format": "stl"}, "carries no texture"),
        ({"prompt": "a ball", "triangles": 1}, "triangles: a whole number from 4"),
        ({"prompt": "a ball", "watertight": "yes"}, "watertight: true or false"),
        ([], "an object is expected"),
    ],
)
def test_what_is_not_taken_is_refused_in_words(client_of, bundle, body, told):
    answer = client_of(bundle).post(GENERATE, json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["kind"]) == (400, "RecipeError") and told in error["message"]


@pytest.mark.parametrize("given", ["/etc/passwd", "http://127.0.0.1/x.png", "", 7, "aGVsbG8="])
def test_a_picture_is_no_path_and_no_address(client_of, picture_bundle, given):
    answer = client_of(picture_bundle).post(GENERATE, json={"picture": given})
    assert answer.status_code == 400 and answer.json()["error"]["message"].startswith("picture")
    assert "root:" not in answer.text


def test_a_damaged_picture_is_the_clients_mistake(client_of, picture_bundle):
    stored = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(stored, "PNG")
    damaged = base64.b64encode(stored.getvalue()[:1000]).decode()
    answer = client_of(picture_bundle).post(GENERATE, json={"picture": damaged})
    assert answer.status_code == 400 and "damaged" in answer.json()["error"]["message"]


def test_bodies_that_are_not_read(client_of, bundle):
    client = client_of(bundle)
    assert client.post(GENERATE, content=b"prompt=a+ball").status_code == 415
    broken = client.post(GENERATE, content=b"{", headers={"content-type": "application/json"})
    assert broken.status_code == 400 and "not JSON" in broken.text
    form = client.post(GENERATE, content=b"--x", headers={"content-type": "multipart/form-data"})
    assert form.status_code == 400 and "the form cannot be read" in form.text
    twice = client.post(GENERATE, files=[("prompt", (None, "a")), ("prompt", (None, "b"))])
    assert twice.status_code == 400 and "twice" in twice.text


def test_half_a_surrogate_pair_is_the_clients_mistake(client_of, bundle):
    client, kind = client_of(bundle), {"content-type": "application/json"}
    for body, told in (
        (b'{"\\ud800": 1}', "\\ud800: this bundle takes no such field"),
        (b'{"prompt": "\\ud800"}', "half of a surrogate pair"),
    ):
        answer = client.post(GENERATE, content=body, headers=kind)
        assert answer.status_code == 400 and told in answer.json()["error"]["message"]


def test_no_surface_is_said_so(client_of, bundle):
    answer = client_of(bundle).post(GENERATE, json={"prompt": "nothing nothing nothing nothing", "grid": 12})
    assert answer.status_code == 422 and answer.json()["error"]["kind"] == "EmptyMesh"


def test_events_tell_how_far_it_is_and_bring_the_file(client_of, bundle):
    client = client_of(bundle)
    answer = client.post(GENERATE, json=SMALL, headers={"accept": "text/event-stream"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    *progress, (last, result) = events(answer.text)
    assert last == "result" and {name for name, _ in progress} <= {"progress"}
    assert {data["what"] for _, data in progress} <= {"queued", "sampling", "mesh", "file"}
    assert base64.b64decode(result["base64"]) == client.post(GENERATE, json=SMALL).content
    assert result["name"] == "object.glb" and result["media_type"] == "model/gltf-binary"


def test_an_error_that_comes_late_is_an_event(client_of, bundle):
    asked = {"prompt": "nothing nothing nothing nothing", "grid": 12}
    answer = client_of(bundle).post(GENERATE, json=asked, headers={"accept": "text/event-stream"})
    name, data = events(answer.text)[-1]
    assert name == "error" and data["kind"] == "EmptyMesh"


def test_health_and_other_paths(client_of, bundle):
    client = client_of(bundle)
    client.post(GENERATE, json=SMALL)
    health = client.get("/v1/health").json()
    assert health["status"] == "ok" and health["bundle"] == "toy/cpu" and health["made"] == 1 and not health["busy"]
    assert "POST /v1/generate" in client.get("/").json()["error"]["message"]
    assert client.get(GENERATE).status_code == 405


def test_a_full_queue_says_when_to_come_again(client_of, bundle, monkeypatch):
    entered, go_on = threading.Semaphore(0), threading.Event()
    make = api_request.ApiRequest.make

    def slow(self, *given):
        entered.release()
        go_on.wait(30)
        return make(self, *given)

    monkeypatch.setattr(api_request.ApiRequest, "make", slow)
    client, statuses = client_of(bundle, most_waiting=1), []
    ask = lambda: statuses.append(client.post(GENERATE, json=SMALL).status_code)  # noqa: E731
    threads = [threading.Thread(target=ask) for _ in range(2)]
    threads[0].start()
    entered.acquire()
    threads[1].start()
    while client.get("/v1/health").json()["waiting"] < 1:
        pass
    refused = client.post(GENERATE, json=SMALL)
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
    assert client.post(GENERATE, content=b"a body that nobody reads").status_code == 429
    go_on.set()
    for thread in threads:
        thread.join()
    assert statuses == [200, 200] and client.get("/v1/health").json()["waiting"] == 0


def test_whoever_hangs_up_before_the_first_event_cancels(client_of, bundle, monkeypatch):
    go_on = threading.Event()

    def slow(self, bundle, on_progress):
        while not go_on.wait(0.001):
            on_progress("sampling", 0, 1)

    monkeypatch.setattr(api_request.ApiRequest, "make", slow)
    client = client_of(bundle)
    bodies = iter([{"type": "http.request", "body": json.dumps(SMALL).encode(), "more_body": False}])

    async def receive():
        return next(bodies, {"type": "http.disconnect"})

    async def send(message):
        await anyio.sleep_forever()

    try:
        client.portal.call(client.app, asgi_scope(), receive, send)
        assert ends(lambda: not client.get("/v1/health").json()["busy"])
    finally:
        go_on.set()


def test_a_body_that_does_not_come_ends_its_connection(client_of, bundle, monkeypatch):
    monkeypatch.setattr(request_body, "SECONDS_TO_SEND", 0.01)
    client, sent = client_of(bundle), []

    async def send(message):
        sent.append(message)

    client.portal.call(client.app, asgi_scope(), anyio.sleep_forever, send)
    assert sent[0]["status"] == 408 and (b"connection", b"close") in sent[0]["headers"]


def test_a_mistake_of_ours_says_nothing_of_the_machine(client_of, bundle, monkeypatch):
    def broken(*given, **named):
        raise ValueError("/home/secret")

    monkeypatch.setattr(Bundle, "generate", broken)
    client = client_of(bundle)
    plain = client.post(GENERATE, json=SMALL)
    streamed = client.post(GENERATE, json=SMALL, headers={"accept": "text/event-stream"})
    assert plain.headers["cache-control"] == "no-store" and plain.headers["x-content-type-options"] == "nosniff"
    assert plain.status_code == 500 and plain.json()["error"]["kind"] == "InternalError"
    assert events(streamed.text)[-1][0] == "error" and "secret" not in plain.text + streamed.text


def test_it_writes_nothing_to_a_disk(client_of, bundle, picture_bundle, monkeypatch):
    def refused(*given, **named):
        raise AssertionError("a file is made")

    for name in ("_TemporaryFileWrapper", "TemporaryFile", "mkdtemp", "mkstemp"):
        monkeypatch.setattr(f"tempfile.{name}", refused)
    client = client_of(bundle)
    formats = client.get("/openapi.json").json()["components"]["schemas"]["GenerateRequest"]["properties"]["format"]
    for name in set(formats["enum"]) - {"gif"}:
        assert client.post(GENERATE, json=SMALL | {"format": name}).status_code == 200, name
    large = picture((0, 255, 0)) + bytes(3 * 2**20)
    form = {"picture": ("p.png", large), "grid": (None, "12")}
    assert client_of(picture_bundle).post(GENERATE, files=form).status_code == 200
