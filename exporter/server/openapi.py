"""OpenAPI's description of the interface, of what this bundle takes and makes."""

from __future__ import annotations

from typing import Any

from exporter.manifest import Manifest
from exporter.server.formats import media_types
from exporter.server.request_body import FORM, JSON
from exporter.server.request_fields import Fields, required_fields

HEALTH, GENERATE, OPENAPI = "/v1/health", "/v1/generate", "/openapi.json"
EVENTS = "text/event-stream"
PROGRESS = ("queued", "sampling", "mesh", "file")
REFUSALS = {
    400: "A field or a value that is not taken, in words",
    403: "Sent by a page of another host, where the server is for this machine alone",
    408: "A body that did not come in time",
    413: "A request that is too large",
    415: "A body that is neither JSON nor a form",
    422: "The field is empty: there is no surface to write; another seed or another wording may have one",
    429: "As many wait as may; Retry-After says in how many seconds there may be room",
    500: "Something is wrong with the server or its bundle; its error output says more",
}


def openapi(manifest: Manifest, fields: Fields) -> dict[str, Any]:
    """The document of `GET /openapi.json`."""
    asked = {
        "type": "object",
        "properties": fields,
        "required": required_fields(fields),
        "additionalProperties": False,
    }
    schemas = {"GenerateRequest": asked, "Error": ERROR, "Health": HEALTH_SCHEMA}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"t3export: {manifest.name}", "version": "1"},
        "paths": {
            HEALTH: {"get": {"summary": "Whether it works, and how many wait", "responses": {"200": _json("Health")}}},
            GENERATE: {"post": _generate(fields)},
            OPENAPI: {"get": {"summary": "This document", "responses": {"200": {"description": "OpenAPI 3.1"}}}},
        },
        "components": {"schemas": schemas},
    }


def _generate(fields: Fields) -> dict[str, Any]:
    reference = {"$ref": "#/components/schemas/GenerateRequest"}
    kinds: dict[str, Any] = {kind: {} for kind in media_types(fields["format"]["enum"])}
    refusals = {str(status): _json("Error", text) for status, text in REFUSALS.items()}
    refusals["429"]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return {
        "summary": "Make one object and give its file; whoever hangs up cancels it",
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": reference}, FORM: {"schema": _form(fields)}},
        },
        "responses": {
            "200": {
                "description": "The file, several as a zip; with `Accept: text/event-stream` events: `progress` "
                f"({', '.join(PROGRESS)}, with done and total), then `result` (name, media_type, and the file in "
                "base64) or `error`",
                "content": kinds | {EVENTS: {"schema": {"type": "string"}}},
            }
        }
        | refusals,
    }


def _form(fields: Fields) -> dict[str, Any]:
    others = {name: schema for name, schema in fields.items() if name != "picture"}
    picture = {"picture": {"type": "string", "format": "binary"}} if "picture" in fields else {}
    return {
        "type": "object",
        "properties": others | picture,
        "required": required_fields(fields),
        "additionalProperties": False,
    }


def _json(schema: str, description: str = "As JSON") -> dict[str, Any]:
    return {
        "description": description,
        "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {"kind": {"type": "string"}, "message": {"type": "string"}},
            "required": ["kind", "message"],
        }
    },
    "required": ["error"],
}
HEALTH_SCHEMA = {
    "type": "object",
    "properties": {
        "status": {"const": "ok"},
        "bundle": {"type": "string"},
        "digest": {"type": "string", "description": "sha256 of all that the bundle is"},
        "busy": {"type": "boolean", "description": "Whether an object is being made"},
        "waiting": {"type": "integer", "minimum": 0},
        "most_waiting": {"type": "integer", "minimum": 0},
        "made": {"type": "integer", "minimum": 0, "description": "Objects since it was started"},
    },
    "required": ["status", "bundle", "digest", "busy", "waiting", "most_waiting", "made"],
    "additionalProperties": False,
}
