"""The features of apps that the original can switch on: here they are off, for every app and for good."""

import orjson
from aiohttp import web

from service.api.jsonschema import BOOLEAN, TEXT, array, obj, ref
from service.api.operation import Documented, Operation
from service.api.requests import caller_of
from service.api.resources.parents import APP, require
from service.api.resources.processes.addresses import APP_GUID
from service.errors import ResourceNotFound
from service.http.replies import answer

FEATURES = {
    "ssh": "A shell in the app's containers: use kubectl exec.",
    "revisions": "A history of what was deployed: Kubernetes keeps its own.",
}
"""What each would be, by name."""


async def list_features(request: web.Request) -> web.Response:
    """GET /v3/apps/{guid}/features"""
    caller = await caller_of(request)
    freshness = await require(request.app, caller, APP, request.match_info["guid"])
    return await answer(request, orjson.dumps({"resources": [present(name) for name in FEATURES]}), freshness)


async def get_feature(request: web.Request) -> web.Response:
    """GET /v3/apps/{guid}/features/{name}"""
    caller, name = await caller_of(request), request.match_info["name"]
    freshness = await require(request.app, caller, APP, request.match_info["guid"])
    if name not in FEATURES:
        raise ResourceNotFound("Feature not found")
    return await answer(request, orjson.dumps(present(name)), freshness)


def present(name: str) -> dict[str, object]:
    """A feature of any app."""
    return {"name": name, "description": FEATURES[name], "enabled": False}


RESOURCE = Documented(
    operations=(
        Operation(
            "GET",
            "/v3/apps/{guid}/features",
            list_features,
            id="listAppFeatures",
            summary="List what could be switched on for an app",
            tag="features",
            answer="FeatureList",
            errors=(ResourceNotFound,),
            example={"guid": APP_GUID},
        ),
        Operation(
            "GET",
            "/v3/apps/{guid}/features/{name}",
            get_feature,
            id="getAppFeature",
            summary="Get whether something is switched on for an app",
            tag="features",
            answer="Feature",
            errors=(ResourceNotFound,),
            example={"guid": APP_GUID, "name": "ssh"},
        ),
    ),
    schemas={
        "Feature": obj({"name": TEXT, "description": TEXT, "enabled": BOOLEAN}),
        "FeatureList": obj({"resources": array(ref("Feature"))}),
    },
    answers={"Feature": present("ssh"), "FeatureList": {"resources": [present(name) for name in FEATURES]}},
)
