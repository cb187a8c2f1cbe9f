"""The description is true: what it lists is there, what it does not list is not."""

from __future__ import annotations

import jsonschema
import pytest

from exporter.pipeline.assets import ImageAsset, PointsAsset
from exporter.server.api_app import STATUSES
from exporter.server.formats import formats_of
from exporter.server.openapi import REFUSALS, openapi
from exporter.server.request_fields import request_fields


@pytest.fixture
def described(client_of, bundle):
    return client_of(bundle).get("/openapi.json").json()


def resolved(described, reference):
    return described["components"]["schemas"][reference["$ref"].rpartition("/")[2]]


def test_its_paths_are_those_of_the_application(client_of, bundle, described):
    client = client_of(bundle)
    routes = {(route.path, method) for route in client.app.routes for method in route.methods - {"HEAD"}}
    listed = {(path, method.upper()) for path, methods in described["paths"].items() for method in methods}
    assert listed == routes


def test_every_reference_leads_somewhere(described):
    def references(value):
        if isinstance(value, dict):
            yield from [value["$ref"]] if "$ref" in value else ()
            for inner in value.values():
                yield from references(inner)

    found = set(references(described))
    assert found == {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    for schema in described["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_answers_are_as_described(client_of, bundle, described):
    client, schemas = client_of(bundle), described["components"]["schemas"]
    jsonschema.validate(client.get("/v1/health").json(), schemas["Health"])
    jsonschema.validate(client.post("/v1/generate", json={}).json(), schemas["Error"])
    post = described["paths"]["/v1/generate"]["post"]
    for name in schemas["GenerateRequest"]["properties"]["format"]["enum"]:
        if name == "gif":  # it is drawn for seconds
            continue
        answer = client.post("/v1/generate", json={"prompt": "a red ball", "grid": 8, "format": name})
        assert str(answer.status_code) in post["responses"]
        assert answer.headers["content-type"] in post["responses"]["200"]["content"], name


@pytest.mark.parametrize(
    "given",
    [
        {"prompt": "a red ball", "grid": 8},
        {"prompt": "a red ball", "quality": "draft", "seed": 2**64 - 1, "format": "ply"},
        {"prompt": "a red ball", "grid": 8, "texture": 64, "triangles": 100, "watertight": True, "exact": True},
        {"prompt": ""},
        {"prompt": "a red ball", "seed": 2**64},
        {"prompt": "a red ball", "grid": 257},
        {"prompt": "a red ball", "quality": "ultra"},
        {"prompt": "a red ball", "texture": 5000},
        {"prompt": "a red ball", "triangles": 3},
        {"prompt": "a red ball", "exact": "yes"},
        {"prompt": "x" * 4097},
        {"prompt": "a red ball", "path": "/tmp/x.glb"},
        {"seed": 1},
    ],
)
def test_the_schema_takes_what_the_server_takes(client_of, bundle, described, given):
    body = described["paths"]["/v1/generate"]["post"]["requestBody"]["content"]["application/json"]
    schema = resolved(described, body["schema"])
    valid = jsonschema.Draft202012Validator(schema).is_valid(given)
    assert client_of(bundle).post("/v1/generate", json=given).status_code == (200 if valid else 400)


def test_a_default_is_what_an_absent_field_means(described):
    asked = described["components"]["schemas"]["GenerateRequest"]["properties"]
    of_the_recipe = {name for name, schema in asked.items() if "default" not in schema}
    assert of_the_recipe == {"prompt", "quality", "grid", "exact", "triangles"}


def test_every_refusal_is_listed():
    assert {*STATUSES.values(), 403, 500} == {*REFUSALS}


def test_a_bundle_of_pictures_is_described_as_such(picture_bundle):
    document = openapi(picture_bundle.manifest, request_fields(picture_bundle.pipeline))
    asked = document["components"]["schemas"]["GenerateRequest"]
    assert asked["required"] == ["picture"] and "prompt" not in asked["properties"]
    form = document["paths"]["/v1/generate"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["picture"] == {"type": "string", "format": "binary"}


def test_what_is_made_decides_the_formats(bundle):
    points = PointsAsset(positions="places", colors="paint")
    image = ImageAsset(stage="renderer", size=16)
    pipeline = bundle.manifest
    assert formats_of(pipeline)[0] == "glb" and "usdz" not in formats_of(pipeline)
    of_points, of_images = (pipeline.model_copy(update={"assets": {"made": one}}) for one in (points, image))
    assert formats_of(of_points) == ["ply", "glb", "png", "gif"] and formats_of(of_images) == ["png"]
    assert "grid" not in request_fields(of_points)


def test_a_sampler_with_a_negative_prompt_takes_one(bundle):
    stages = bundle.manifest.stages
    led = stages["denoiser"].model_copy(update={"conditions": {"negative": {"embedding": "unlike"}}})
    pipeline = bundle.manifest.model_copy(update={"stages": stages | {"denoiser": led}})
    assert "negative" in request_fields(pipeline) and "negative" not in request_fields(bundle.manifest)
