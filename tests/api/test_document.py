"""GET /v3/openapi.json: that it is valid, complete and true."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from service.api import reading
from service.api.operation import JSON
from service.api.resources import absent, features, root, whoami
from service.api.resources.absent import LISTS, RELATIONSHIPS, Absent
from service.api.resources.apps import actions, environment, manifest, rollouts
from service.api.resources.instances import resource as instances
from service.api.resources.parents import APP, ORGANIZATION, SPACE
from service.api.resources.processes import resource as processes
from service.api.routes import OPERATIONS
from service.health import Health
from service.http.keys import HEALTH
from service.http.ready_answers import ReadyAnswers
from service.model.sidecars import sidecar_guid
from service.settings import Settings
from tests.support.admission import refusing
from tests.support.api import Api, Reply, running
from tests.support.apps import MakeApp
from tests.support.contract import Contract, Kind
from tests.support.kube import KEYS, Kube, add_container, deployment, eventually, guid_of, namespace_of
from tests.support.routing import route_of, route_to
from tests.support.sockets import connected, head

CONTRACT = Contract()
ABSENT = (*LISTS, *RELATIONSHIPS)
Seen = set[tuple[str, Kind]]
Request = tuple[str, str, object]
"""Method, path, body."""

SERVICE_ACCOUNTS = "system:serviceaccount:default:"
"""Who people are in these tests."""
PODS = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["pods"]}


def test_is_valid_openapi() -> None:
    errors = [str(error) for error in OpenAPIV31SpecValidator(CONTRACT.document).iter_errors()]
    assert not errors


def test_holds_every_route_of_the_table_and_nothing_else() -> None:
    described = {(method.upper(), path) for path, item in CONTRACT.document["paths"].items() for method in item}
    assert described == {(route.method, route.path) for route in OPERATIONS}
    ids = [operation["operationId"] for operation in operations()]
    assert len(ids) == len(set(ids)) == len(OPERATIONS)


def test_says_which_requests_need_a_token() -> None:
    (scheme,) = CONTRACT.document["security"]
    assert CONTRACT.document["components"]["securitySchemes"][next(iter(scheme))]["scheme"] == "bearer"
    open_to_all = {operation["operationId"] for operation in operations() if operation.get("security") == []}
    assert open_to_all == {"getRoot", "getV3", "getInfo", "getDocument"}


def test_every_answer_carries_the_headers_of_every_answer() -> None:
    for operation in operations():
        for response in operation["responses"].values():
            headers = CONTRACT.resolved(response)["headers"]
            assert {"X-Vcap-Request-Id", "X-RateLimit-Limit"} <= headers.keys()


def operations() -> Iterator[dict[str, Any]]:
    for item in CONTRACT.document["paths"].values():
        yield from item.values()


def test_examples_are_what_their_schemas_say() -> None:
    shown = 0
    for operation in operations():
        for parameter in map(CONTRACT.resolved, operation["parameters"]):
            if "example" in parameter:
                CONTRACT.validator(parameter["schema"]).validate(parameter["example"])
                shown += 1
        media = [
            CONTRACT.resolved(response).get("content", {}).get(JSON) for response in operation["responses"].values()
        ]
        for each in (*media, operation.get("requestBody", {}).get("content", {}).get(JSON)):
            examples = [] if each is None else [value["value"] for value in each.get("examples", {}).values()]
            for example in (*examples, *([each["example"]] if each and "example" in each else ())):
                CONTRACT.validator(each["schema"]).validate(example)
                shown += 1
    assert shown > 100


def test_every_body_and_every_success_with_one_has_an_example() -> None:
    for operation in operations():
        media = [operation["requestBody"]["content"][JSON]] if "requestBody" in operation else []
        media += [
            response["content"][JSON]
            for response in map(CONTRACT.resolved, operation["responses"].values())
            if JSON in response.get("content", {}) and operation["operationId"] != "getDocument"
        ]
        assert all(each.get("example") or each.get("examples") for each in media)


async def test_is_served_without_a_token_as_at_the_callers_address(api: Api) -> None:
    reply = await api.as_user(None).get("/v3/openapi.json")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert reply.json == {**CONTRACT.document, "servers": [{"url": api.url}]}
    elsewhere = await api.as_user(None).get("/v3/openapi.json", headers={"Host": "cf.example.test"})
    assert elsewhere.json["servers"] == [{"url": "http://cf.example.test"}]
    assert elsewhere.headers["ETag"] != reply.headers["ETag"]
    again = await api.as_user(None).get("/v3/openapi.json", headers={"If-None-Match": reply.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


async def test_names_of_users_are_those_of_the_settings(settings: Settings, operator_token: str) -> None:
    async with running(replace(settings, user_ids=("alice=1000", "bob=1001")), token=operator_token) as served:
        body = (await served.get("/v3/openapi.json")).json["components"]["schemas"]["UpdateBody"]
    assert body["properties"]["user"]["anyOf"][1] == {"enum": ["alice", "bob", None]}


class Asker:
    """Asks, and holds every answer to the document."""

    def __init__(self, api: Api, seen: Seen) -> None:
        self.api = api
        self.seen = seen

    def at(self, api: Api) -> "Asker":
        return Asker(api, self.seen)

    async def ask(self, *requests: Request, headers: dict[str, str] | None = None) -> list[Reply]:
        replies = []
        for method, path, body in requests:
            match method:
                case "GET":
                    reply = await self.api.get(path, headers=headers)
                case "DELETE":
                    reply = await self.api.delete(path)
                case "POST":
                    reply = await self.api.post(path, body, headers=headers)
                case _:
                    reply = await self.api.patch(path, body, headers=headers)
            self.seen.add(CONTRACT.check(method, path, reply))
            replies.append(reply)
        return replies


def at_both_addresses(app: str, guid: str | None = None) -> list[str]:
    return [f"/v3/processes/{guid or guid_of(app, 'web')}", f"/v3/apps/{app}/processes/web"]


def parent_of(absent: Absent, app: str) -> str:
    """The GUID of what the app itself is, or belongs to."""
    space = namespace_of(app)
    return {APP: app, SPACE: space, ORGANIZATION: f"org-of-{space}"}.get(absent.of or APP, app)


PLURALS = ("organizations", "spaces", "apps", "droplets", "deployments")
OF_APP = ("droplets", "droplets/current", "relationships/current_droplet", "manifest")


async def looks(asker: Asker, app: str) -> list[Request]:
    """Everything that can be looked at beside processes, of one app, as it is there."""
    (shown,) = (await asker.api.get(f"/v3/apps?guids={app}&include=space,org")).json["resources"]
    included = (await asker.api.get(f"/v3/apps/{app}?include=space,org")).json["included"]
    (rollout,) = await asker.api.guids(f"/v3/deployments?app_guids={app}")
    guids = {
        "organizations": included["organizations"][0]["guid"],
        "spaces": included["spaces"][0]["guid"],
        "apps": app,
        "droplets": shown["relationships"]["current_droplet"]["data"]["guid"],
        "deployments": rollout,
    }
    return looks_at(app, guids)


def looks_at(app: str, guids: Mapping[str, str]) -> list[Request]:
    lists = [f"/v3/{plural}" for plural in PLURALS]
    singles = [f"/v3/{plural}/{guids[plural]}" for plural in PLURALS]
    of_app = [f"/v3/apps/{app}/{below}" for below in OF_APP]
    return [("GET", path, None) for path in (*lists, *singles, *of_app)]


async def look_around(asker: Asker, app: str, kube: Kube) -> None:
    """All that a look may end in, but for what makes any request fail."""
    requests = await looks(asker, app)
    for headers in ({}, {"If-None-Match": "*"}, {"Host": "no host"}):
        await asker.ask(*requests, headers=headers)
    stranger = await kube.token_of_new_user()
    for token in (None, "nonsense", stranger):
        await asker.at(asker.api.as_user(token)).ask(*requests)
    for nobody in ("no-such-guid", "%zz"):
        await asker.ask(*looks_at(nobody, defaultdict(lambda nobody=nobody: nobody)))  # type: ignore[misc]
    await asker.ask(*((method, f"{path}?page=0", body) for method, path, body in requests))


def everything(app: str, guid: str | None = None) -> list[Request]:
    """Each operation once, in an order in which all succeed."""
    requests: list[Request] = [
        ("GET", "/", None),
        ("GET", "/v3", None),
        ("GET", "/v3/info", None),
        ("GET", "/v3/openapi.json", None),
        ("GET", "/whoami", None),
        ("GET", "/v3/processes", None),
        ("GET", f"/v3/apps/{app}/processes", None),
        ("GET", "/v3/routes", None),
        ("GET", f"/v3/apps/{app}/routes", None),
        ("GET", f"/v3/routes/{route_of(app)}", None),
        ("GET", f"{at_both_addresses(app, guid)[0]}/process_instances", None),
        ("GET", f"{at_both_addresses(app, guid)[0]}/sidecars", None),
        ("GET", f"/v3/apps/{app}/sidecars", None),
        ("GET", f"/v3/sidecars/{sidecar_guid(guid or guid_of(app, 'web'), 'proxy')}", None),
        ("GET", f"/v3/apps/{app}/features", None),
        ("GET", f"/v3/apps/{app}/features/ssh", None),
        *(("GET", absent.path.replace("{guid}", guid or parent_of(absent, app)), None) for absent in ABSENT),
    ]
    for path in at_both_addresses(app, guid):
        requests += [
            ("GET", path, None),
            ("GET", f"{path}/stats", None),
            ("PATCH", path, {"metadata": {"labels": {"a": "b"}}}),
            ("POST", f"{path}/actions/scale", {"instances": 2}),
            ("DELETE", f"{path}/instances/0", None),
        ]
    return requests


NOTHING_AT_LENGTH = b"{" + b" " * 10 + b"}"


def acts(app: str, rollout: str) -> list[Request]:
    """Everything that changes an app, and the look at what only those see who may change it."""
    of_app = f"/v3/apps/{app}"
    return [
        ("GET", f"{of_app}/environment_variables", None),
        ("GET", f"{of_app}/env", None),
        ("PATCH", of_app, {"metadata": {"labels": {"a": "b"}}}),
        ("PATCH", f"{of_app}/environment_variables", {"var": {"A": "b"}}),
        *(("POST", f"{of_app}/actions/{action}", NOTHING_AT_LENGTH) for action in ("stop", "start", "restart")),
        ("POST", "/v3/deployments", {"relationships": {"app": {"data": {"guid": app}}}}),
        ("POST", f"/v3/deployments/{rollout}/actions/cancel", NOTHING_AT_LENGTH),
    ]


async def act(asker: Asker, app: str, kube: Kube, space: str) -> list[Request]:
    """All that acting may end in, but for what makes any request fail. Returns what it was done with."""
    *requests, _ = acts(app, "")
    for reply in await asker.ask(*requests):
        assert reply.status < 300, reply

    async def finished() -> str | None:
        reply = await asker.api.get(f"/v3/deployments?app_guids={app}")
        (rollout,) = reply.json["resources"]
        return rollout["guid"] if rollout["status"]["value"] == "FINALIZED" else None

    (late,) = await asker.ask(acts(app, await eventually(finished))[-1])
    assert late.status == 422, late
    nowhere = {"spec": {"template": {"spec": {"nodeSelector": {"nowhere": "at-all"}}}}}
    await kube.patch(space, f"web-{app}", nowhere)

    async def cancelled() -> str | None:
        (rollout,) = await asker.api.guids(f"/v3/deployments?app_guids={app}")
        (reply,) = await asker.ask(acts(app, rollout)[-1])
        return rollout if reply.status == 200 else None

    rollout = await eventually(cancelled)

    async def is_back() -> bool:
        reply = await asker.api.get(f"/v3/deployments/{rollout}")
        return bool(reply.json["status"]["reason"] == "CANCELED")

    await eventually(is_back)
    requests = acts(app, rollout)
    await asker.ask(*requests, headers={"Host": "no host"})
    await asker.ask(*only(requests, "GET"), headers={"If-None-Match": "*"})
    viewer = await kube.token_of_new_user(cluster_roles=("processes-reader",))
    stranger = await kube.token_of_new_user()
    for token in (None, "nonsense", stranger, viewer):
        await asker.at(asker.api.as_user(token)).ask(*requests)
    for nobody in ("no-such-guid", "%zz"):
        await asker.ask(*acts(nobody, nobody))
    for bad in (b"{", b'{"nonsense": 1}'):
        await asker.ask(*((method, path, bad) for method, path, _ in only(requests, "PATCH", "POST")))
    for kind, most in (("labels", 50), ("annotations", 200)):
        body = {"metadata": {kind: {f"key-{n}": "x" for n in range(most + 1)}}}
        await asker.ask(("PATCH", f"/v3/apps/{app}", body))
    return requests


def only(requests: list[Request], *methods: str) -> list[Request]:
    return [request for request in requests if request[0] in methods]


async def test_every_answer_it_allows_is_given_and_is_as_it_says(
    api: Api,
    kube: Kube,
    space: str,
    settings: Settings,
    operator_token: str,
    make_app: MakeApp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, seen = await make_app("web", replicas=1, ports=[{"containerPort": 8080}]), set[tuple[str, Kind]]()
    await kube.patch_json(space, f"web-{app}", [add_container("proxy")])
    await kube.label_namespace(space, {KEYS.organization_guid: f"org-of-{space}"})
    await route_to(kube, space, app)
    asker = Asker(api, seen)
    await successes(asker, app)
    await refused_callers(asker, app, kube)
    await refused_requests(asker, app)
    await unknown_pods(asker, kube, space)
    await one_with_too_many_of(asker, app)
    await look_around(asker, app, kube)
    acting = await act(asker, app, kube, space)
    every = [*everything(app), *await looks(asker, app), *acting]
    # NB: a kubelet that may not delete would leave a Pod going for ever, whose deletion nobody refuses any more.
    other = f"!request.userInfo.username.startsWith('{SERVICE_ACCOUNTS}')"
    async with refusing(kube, space, PODS, {"expression": other, "reason": "Forbidden"}):
        await refused_by_kubernetes(asker, app)
    with broken(monkeypatch):
        await asker.ask(*every)
    with loading_pods(monkeypatch, api.application[HEALTH]):
        await asker.ask(*((method, f"{path}?embed=process_instances", None) for method, path in embeddable(app)))
    async with running(replace(settings, max_concurrent_requests=0), token=operator_token) as served:
        await asker.at(served).ask(*every)
    async with running(replace(settings, max_body_bytes=10), token=operator_token) as served:
        await asker.at(served).ask(*only(every, "PATCH", "POST"))
    async with running(replace(settings, body_timeout_s=0.1), token=operator_token) as served:
        await unfinished(asker.at(served), only(every, "PATCH", "POST"))
    for token in (operator_token, "nonsense"):
        async with running(replace(settings, rate_limit_requests=1), token=token) as served:
            await asker.at(served).ask(("GET", "/v3/processes", None), *every)
    assert seen == CONTRACT.documented()


def embeddable(app: str) -> list[tuple[str, str]]:
    return [("GET", path) for path in ("/v3/processes", f"/v3/apps/{app}/processes", *at_both_addresses(app))]


async def successes(asker: Asker, app: str) -> None:
    async def running_somewhere() -> bool:
        (reply,) = await asker.ask(("GET", f"{at_both_addresses(app)[0]}/stats", None))
        (routed,) = await asker.ask(("GET", f"/v3/routes/{route_of(app)}", None))
        return [each["state"] for each in reply.json["resources"]] == ["RUNNING"] and routed.status == 200

    await eventually(running_somewhere, 20)
    for reply in await asker.ask(*everything(app)):
        assert reply.status < 300, reply
    await asker.ask(*((method, f"{path}?embed=process_instances", None) for method, path in embeddable(app)))
    for request in only(everything(app), "GET"):
        await asker.ask(request, headers={"If-None-Match": "*"})


async def refused_callers(asker: Asker, app: str, kube: Kube) -> None:
    viewer = await kube.token_of_new_user(cluster_roles=("processes-reader",))
    stranger = await kube.token_of_new_user()
    for token in (None, "nonsense", stranger, viewer):
        await asker.at(asker.api.as_user(token)).ask(*everything(app))


async def refused_requests(asker: Asker, app: str) -> None:
    for nobody in ("no-such-guid", "%zz"):
        await asker.ask(*everything(nobody, nobody))
    await asker.ask(*only(everything(app), "GET", "PATCH", "POST"), headers={"Host": "no host"})
    for query in ("page=0", "page=%zz"):
        await asker.ask(*((method, f"{path}?{query}", body) for method, path, body in everything(app)))
    writes = only(everything(app), "PATCH", "POST")
    for bad in (b"{", b'{"nonsense": 1}'):
        await asker.ask(*((method, path, bad) for method, path, _ in writes))


async def unfinished(asker: Asker, requests: list[Request]) -> None:
    """Bodies that never come."""
    async with AsyncExitStack() as stack:
        begun = []
        for method, path, _ in requests:
            client = await stack.enter_async_context(connected(asker.api))
            await client.send(head(method, path, asker.api.token, Content_Length="2"))
            begun.append((method, path, client))
        for method, path, client in begun:
            asker.seen.add(CONTRACT.check(method, path, await client.reply()))


async def refused_by_kubernetes(asker: Asker, app: str) -> None:
    async def refused() -> bool:
        replies = await asker.ask(*only(everything(app), "DELETE"))
        return {reply.status for reply in replies} == {422}

    await eventually(refused, 20)


async def unknown_pods(asker: Asker, kube: Kube, space: str) -> None:
    """Of a Deployment whose Pods do not say which app they are of."""
    app = str(uuid4())
    manifest = deployment("untold", space, app, replicas=1)
    manifest["spec"]["template"]["metadata"]["labels"] = {"test": "untold"}
    await kube.create(manifest)

    async def is_shown() -> bool:
        return (await asker.api.get(f"/v3/apps/{app}/processes")).status == 200

    await eventually(is_shown)
    await asker.ask(*only(everything(app), "GET", "DELETE"))


async def one_with_too_many_of(asker: Asker, app: str) -> None:
    for kind, most in (("labels", 50), ("annotations", 200)):
        body = {"metadata": {kind: {f"key-{n}": "x" for n in range(most + 1)}}}
        await asker.ask(*(("PATCH", path, body) for path in at_both_addresses(app)))


@contextmanager
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    async def fail(*_: object) -> None:
        raise RuntimeError

    def fail_at_once(*_: object) -> None:
        raise RuntimeError

    async def not_ready(*_: object) -> None:
        return None

    with monkeypatch.context() as patched:
        patched.setattr(ReadyAnswers, "once_more", not_ready)
        for module in (
            *(reading, instances, manifest, processes, actions, environment, rollouts),
            *(absent, features, whoami),
        ):
            for name in ("caller_of", "actor_of", "authenticate"):
                patched.setattr(module, name, fail, raising=False)
        patched.setattr(root, "base_url", fail_at_once)
        yield


@contextmanager
def loading_pods(monkeypatch: pytest.MonkeyPatch, health: Health) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(type(health), "pods_loaded", property(lambda _: False))
        yield
