"""Droplets, at each of their addresses, and manifests: what an app runs now."""

import re
import shlex
from typing import Any

import pytest
import yaml

from service.model.apps import droplet_guid
from tests.support.api import Api, assert_cf_error
from tests.support.apps import MakeApp, Users
from tests.support.kube import KEYS, Kube, eventually
from tests.support.routing import backend, create, ingress, rule, service

IMAGE = "registry.test/app:1"
HIDDEN = "[PRIVATE DATA HIDDEN IN LISTS]"


def expected(api: Api, app: str, guid: str, shown: dict[str, Any], **commands: str) -> dict[str, Any]:
    return {
        "guid": guid,
        "created_at": shown["created_at"],
        "updated_at": shown["updated_at"],
        "state": "STAGED",
        "error": None,
        "lifecycle": {"type": "docker", "data": {}},
        "checksum": None,
        "buildpacks": [],
        "stack": None,
        "image": IMAGE,
        "execution_metadata": "",
        "process_types": commands,
        "relationships": {"app": {"data": {"guid": app}}},
        "metadata": {"labels": {}, "annotations": {}},
        "links": {
            "self": {"href": f"{api.url}/v3/droplets/{guid}"},
            "app": {"href": f"{api.url}/v3/apps/{app}"},
        },
    }


async def test_the_droplet_of_an_app_is_shown_at_each_address(api: Api, make_app: MakeApp, space: str) -> None:
    app = await make_app("web", "worker", command=["run"])
    guid = droplet_guid(space, app, IMAGE)
    for path in (f"/v3/droplets/{guid}", f"/v3/apps/{app}/droplets/current"):
        shown = (await api.get(path)).json
        assert shown == expected(api, app, guid, shown, web="run", worker="run")
    lists = (
        f"/v3/apps/{app}/droplets",
        f"/v3/droplets?app_guids={app}",
        f"/v3/droplets?space_guids={space}&states=STAGED",
    )
    for path in (*lists, f"/v3/droplets?guids={guid}", f"/v3/droplets?organization_guids=default&app_guids={app}"):
        (listed,) = (await api.get(path)).json["resources"]
        assert listed == expected(api, app, guid, listed, web=HIDDEN, worker=HIDDEN)
    assert await api.guids(f"/v3/apps/{app}/droplets?states=FAILED") == []
    relationship = (await api.get(f"/v3/apps/{app}/relationships/current_droplet")).json
    base = f"{api.url}/v3/apps/{app}"
    assert relationship == {
        "data": {"guid": guid},
        "links": {
            "self": {"href": f"{base}/relationships/current_droplet"},
            "related": {"href": f"{base}/droplets/current"},
        },
    }


async def test_who_does_not_see_the_app_sees_no_droplet_and_no_manifest(
    api: Api, make_app: MakeApp, users: Users, space: str
) -> None:
    app = await make_app("web")
    stranger, guid = api.as_user(users.stranger), droplet_guid(space, app, IMAGE)
    for below in ("droplets", "droplets/current", "relationships/current_droplet", "manifest"):
        hidden, absent = await stranger.get(f"/v3/apps/{app}/{below}"), await stranger.get(f"/v3/apps/none/{below}")
        assert_cf_error(hidden, 404, 10010, "CF-ResourceNotFound", "App not found")
        assert hidden.body == absent.body
    hidden = await stranger.get(f"/v3/droplets/{guid}")
    assert_cf_error(hidden, 404, 10010, "CF-ResourceNotFound", "Droplet not found")
    assert await stranger.guids("/v3/droplets?space_guids=" + space) == []
    assert await api.as_user(users.viewer).guids(f"/v3/droplets?space_guids={space}") == [guid]


async def test_a_manifest_says_what_the_app_is(api: Api, make_app: MakeApp) -> None:
    app = await make_app(
        "web",
        command=["/bin/sh", "-c", "exec server: --port 'é'"],
        resources={"limits": {"memory": "512Mi", "ephemeral-storage": "1Gi"}},
        ports=[{"containerPort": 8080}],
        livenessProbe={"httpGet": {"path": "/healthz", "port": 8080}, "timeoutSeconds": 2, "periodSeconds": 7},
    )
    reply = await api.get(f"/v3/apps/{app}/manifest")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/x-yaml; charset=utf-8")
    assert yaml.safe_load(reply.body) == {
        "applications": [
            {
                "name": f"web-{app}",
                "docker": {"image": IMAGE},
                "processes": [
                    {
                        "type": "web",
                        "instances": 0,
                        "memory": "512M",
                        "disk_quota": "1024M",
                        "log-rate-limit-per-second": "-1",
                        "command": "exec server: --port 'é'",
                        "health-check-type": "http",
                        "health-check-http-endpoint": "/healthz",
                        "health-check-invocation-timeout": 2,
                        "health-check-interval": 7,
                        "readiness-health-check-type": "process",
                    }
                ],
            }
        ]
    }
    etag = reply.headers["ETag"]
    assert (await api.get(f"/v3/apps/{app}/manifest", headers={"If-None-Match": etag})).status == 304


class Reader(yaml.SafeLoader):
    """Reads YAML 1.1, and whatever else YAML 1.2 and Go's readers take for a number or a truth value."""


OTHER_SCALARS = {
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?",
    "int": r"0o[0-7]+|0x[0-9a-fA-F]+|0b[01]+",
    "bool": r"[yYnN]",
}
for kind, pattern in OTHER_SCALARS.items():
    Reader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(f"^({pattern})$"), None)


@pytest.mark.parametrize(
    "text",
    ["1e3", "12e5678", "1E+2", "0o17", "0x1f", "0b1", "1_000", "007", "1.", "y", "no", "null", "~", "2026-01-01"],
)
async def test_texts_in_a_manifest_are_no_numbers_to_whoever_reads_it(api: Api, make_app: MakeApp, text: str) -> None:
    app = await make_app("web", labels={KEYS.app_name: text} if re.fullmatch(r"\w+", text) else {}, command=[text])
    pairs = {"annotations": {"sha": text, **({text: "key"} if text.isalnum() else {})}}
    assert (await api.patch(f"/v3/apps/{app}", {"metadata": pairs})).status == 200
    body = (await api.get(f"/v3/apps/{app}/manifest")).body
    (found,) = Reader(body).get_single_data()["applications"]
    assert found["metadata"] == pairs
    assert isinstance(found["name"], str)
    assert found["processes"][0]["command"] == shlex.quote(text)


async def test_a_manifest_has_the_routes_that_lead_to_the_app(
    api: Api, kube: Kube, make_app: MakeApp, space: str
) -> None:
    app = await make_app("web", ports=[{"containerPort": 8080}])
    shop = ingress("shop", rule("shop.example.com", ("/cart", backend("shop"))), rule(None, ("/any", backend("shop"))))
    grpc = ingress("grpc", rule("grpc.example.com", ("/", backend("grpc"))))
    ports = [{"port": 80, "appProtocol": "kubernetes.io/h2c"}]
    await create(kube, space, service("shop", {KEYS.app_guid: app}), shop)
    await create(kube, space, service("grpc", {KEYS.app_guid: app}, ports), grpc)
    expected = {("shop.example.com/cart", "http1"), ("grpc.example.com", "http2")}

    role = await kube.create_role({"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]})
    may_get = api.as_user(await kube.token_of_new_user(cluster_roles=("processes-api",), roles_in={space: role}))

    async def shown() -> bool:
        (found,) = yaml.safe_load((await may_get.get(f"/v3/apps/{app}/manifest")).body)["applications"]
        return {(each["route"], each["protocol"]) for each in found.get("routes", ())} == expected

    await eventually(shown)
