"""What clients ask first: where the API is, and what it says of itself."""

from collections.abc import Iterable
from typing import Any

import orjson
from aiohttp import web

from service.api.jsonschema import BOOLEAN, TEXT, integer, obj, or_null
from service.api.keys import DOCUMENT, LISTS
from service.api.operation import Documented, Operation
from service.api.version import API_VERSION
from service.freshness import Freshness
from service.http.replies import answer, base_url


async def get_root(request: web.Request) -> web.Response:
    """GET /"""
    return await answer(request, orjson.dumps(present_root(base_url(request))), Freshness())


async def get_document(request: web.Request) -> web.Response:
    """GET /v3/openapi.json"""
    return await answer(request, request.app[DOCUMENT].encode(base_url(request)), Freshness())


async def get_v3(request: web.Request) -> web.Response:
    """GET /v3"""
    plurals = request.app[LISTS]
    return await answer(request, orjson.dumps(present_v3(base_url(request), plurals)), Freshness())


async def get_info(request: web.Request) -> web.Response:
    """GET /v3/info"""
    return await answer(request, orjson.dumps(present_info(base_url(request))), Freshness())


def present_v3(base: str, plurals: Iterable[str]) -> dict[str, Any]:
    """Where the lists are: of what is served, and no link is null."""
    return {"links": {"self": {"href": f"{base}/v3"}, **{each: {"href": f"{base}/v3/{each}"} for each in plurals}}}


def present_info(base: str) -> dict[str, Any]:
    """What people and clients are told of the platform."""
    return {
        "build": "",
        "cli_version": {"minimum": OLDEST_CLI, "recommended": TRIED_CLI},
        "custom": {},
        "description": "Cloud Foundry's API over the Deployments of a Kubernetes cluster",
        "name": "cf-processes",
        "version": 0,
        "links": {"self": {"href": f"{base}/v3/info"}, "support": {"href": f"{base}/v3/openapi.json"}},
    }


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
            # Null has the cf CLI print a riddle. A scheme that it does not know it quotes, and sends nothing anywhere.
            "log_cache": {"href": "use-kubectl-logs://logs-are-not-served-here"},
            "log_stream": None,
            "app_ssh": None,
        },
        "cf_on_k8s": True,
    }


OLDEST_CLI, TRIED_CLI = "8.0.0", "8.18.4"
"""Versions of the cf CLI: the first that takes credentials from a kubeconfig, and one that was tried with this API."""
_HREF = obj({"href": {"type": "string", "format": "uri"}})

RESOURCE = Documented(
    operations=(
        Operation("GET", "/", get_root, id="getRoot", summary="Find the API", tag="root", answer="Root", token=False),
        Operation("GET", "/v3", get_v3, id="getV3", summary="Find the lists", tag="root", answer="Lists", token=False),
        Operation(
            "GET",
            "/v3/info",
            get_info,
            id="getInfo",
            summary="Get what the platform says of itself",
            tag="root",
            answer="Info",
            token=False,
        ),
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
        "Lists": obj({"links": {**obj({"self": _HREF}), "additionalProperties": _HREF}}),
        "Info": obj(
            {
                "build": TEXT,
                "cli_version": obj({"minimum": TEXT, "recommended": TEXT}),
                "custom": {"type": "object", "additionalProperties": True},
                "description": TEXT,
                "name": TEXT,
                "version": integer(0),
                "links": obj({"self": _HREF, "support": _HREF}),
            }
        ),
        "Document": {
            **obj({"openapi": TEXT, "info": {"type": "object"}, "paths": {"type": "object"}}),
            "additionalProperties": True,
        },
    },
    answers={
        "Root": present_root("https://api.example.org"),
        "Lists": present_v3("https://api.example.org", ["processes"]),
        "Info": present_info("https://api.example.org"),
    },
)
