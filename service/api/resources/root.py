"""What clients ask first: where the API is, and what it says of itself."""

from typing import Any

import orjson
from aiohttp import web

from service.api.jsonschema import BOOLEAN, TEXT, obj, or_null
from service.api.keys import DOCUMENT
from service.api.operation import Documented, Operation
from service.api.version import API_VERSION
from service.freshness import Freshness
from service.http.replies import answer, base_url


async def get_root(request: web.Request) -> web.Response:
    """GET /"""
    return answer(request, orjson.dumps(present_root(base_url(request))), Freshness())


async def get_document(request: web.Request) -> web.Response:
    """GET /v3/openapi.json"""
    return answer(request, request.app[DOCUMENT].encode(base_url(request)), Freshness())


def present_root(base: str) -> dict[str, Any]:
    """What clients ask first: where the API is, which version it speaks, and that it takes Kubernetes credentials."""
    return {
        "links": {
            "self": {"href": base},
            "cloud_controller_v2": None,
            "cloud_controller_v3": {"href": f"{base}/v3", "meta": {"version": API_VERSION}},
            "network_policy_v0": None,
            "network_policy_v1": None,
            # The Python client looks up where to log in before it is given a token; nothing answers there.
            "login": {"href": base},
            "uaa": None,
            "credhub": None,
            "routing": None,
            "logging": None,
            "log_cache": None,
            "log_stream": None,
            "app_ssh": None,
        },
        "cf_on_k8s": True,
    }


RESOURCE = Documented(
    operations=(
        Operation("GET", "/", get_root, id="getRoot", summary="Find the API", tag="root", answer="Root", token=False),
        Operation(
            "GET",
            "/v3/openapi.json",
            get_document,
            id="getDocument",
            summary="Get this document",
            tag="root",
            answer="Document",
            token=False,
        ),
    ),
    schemas={
        "Root": obj(
            {
                "links": {
                    "type": "object",
                    "additionalProperties": or_null(
                        obj(
                            {"href": {"type": "string", "format": "uri"}, "meta": obj({"version": TEXT})},
                            optional=["meta"],
                        )
                    ),
                },
                "cf_on_k8s": BOOLEAN,
            }
        ),
        "Document": {
            **obj({"openapi": TEXT, "info": {"type": "object"}, "paths": {"type": "object"}}),
            "additionalProperties": True,
        },
    },
    answers={"Root": present_root("https://api.example.org")},
)
