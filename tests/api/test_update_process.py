"""PATCH /v3/processes/{guid} and PATCH /v3/apps/{guid}/processes/{type}."""

import asyncio
import logging
from dataclasses import replace
from typing import Any

import orjson
import pytest
import structlog

from service import telemetry
from service.model.labels import Keys
from service.settings import Settings
from service.store.database import connected
from tests.support.api import Api, assert_cf_error, running
from tests.support.apps import MakeApp, PathTo, Users
from tests.support.kube import Kube, eventually

KEYS = Keys()
HTTP = {"type": "http", "data": {"timeout": 60, "invocation_timeout": 5, "interval": 20, "endpoint": "/health"}}
PORTS = [{"containerPort": 8080}, {"containerPort": 9090}]


def container_of(found: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = found["spec"]["template"]["spec"]["containers"][0]
    return container


async def test_everything_at_once_reads_back_as_sent(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web", ports=PORTS)
    readiness = {"type": "port", "data": {"invocation_timeout": 3, "interval": 7}}
    reply = await api.patch(
        path_to(app, "web"),
        {
            "command": "exec server --port $PORT",
            "user": "vcap",
            "health_check": HTTP,
            "readiness_health_check": readiness,
            "metadata": {"labels": {"team": "blue"}, "annotations": {"contact": "blue@example.test"}},
        },
    )
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
    process = reply.json
    assert (process["command"], process["user"]) == ("exec server --port $PORT", "vcap")
    assert process["health_check"] == HTTP
    assert process["readiness_health_check"] == {
        "type": "port",
        "data": {"timeout": None, "invocation_timeout": 3, "interval": 7, "endpoint": None},
    }
    assert process["metadata"] == {"labels": {"team": "blue"}, "annotations": {"contact": "blue@example.test"}}
    read = (await api.get(path_to(app, "web"))).json
    assert {**read, "version": "", "updated_at": ""} == {**process, "version": "", "updated_at": ""}
    container = container_of(await kube.get(space, f"web-{app}"))
    assert container["command"] == ["/bin/sh", "-c", "exec server --port $PORT"]
    assert container["securityContext"]["runAsUser"] == 2000
    looked_at = {"path": "/health", "port": 8080, "scheme": "HTTP"}
    liveness, startup, ready = (container[f"{kind}Probe"] for kind in ("liveness", "startup", "readiness"))
    assert (liveness["httpGet"], liveness["periodSeconds"], liveness["timeoutSeconds"]) == (looked_at, 20, 5)
    assert startup["httpGet"] == looked_at
    assert startup["periodSeconds"] * startup["failureThreshold"] == 60
    assert (ready["tcpSocket"], ready["periodSeconds"], ready["timeoutSeconds"]) == ({"port": 8080}, 7, 3)


async def test_only_what_is_sent_changes(api: Api, make_app: MakeApp, path_to: PathTo) -> None:
    app = await make_app("web", ports=PORTS, command=["/bin/sh", "-c", "one"])
    path = path_to(app, "web")
    await api.patch(path, {"health_check": HTTP, "metadata": {"labels": {"a": "1", "b": "2"}}})
    reply = await api.patch(path, {"health_check": {"data": {"interval": 33}}, "metadata": {"labels": {"b": "3"}}})
    assert reply.json["health_check"] == {"type": "http", "data": {**HTTP["data"], "interval": 33}}  # type: ignore[dict-item]
    assert (reply.json["command"], reply.json["metadata"]["labels"]) == ("one", {"a": "1", "b": "3"})


async def test_null_goes_back_to_what_the_app_came_with(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    probe = {"httpGet": {"path": "/old", "port": "admin", "httpHeaders": [{"name": "X", "value": "y"}]}}
    app = await make_app(
        "web",
        command=["node", "server.js"],
        args=["--verbose"],
        ports=[*PORTS, {"containerPort": 7070, "name": "admin"}],
        livenessProbe={**probe, "failureThreshold": 9},
        readinessProbe=probe,
    )
    path, name = path_to(app, "web"), f"web-{app}"
    before, shown = await kube.intent(space, name), (await api.get(path)).json
    nulls: dict[str, Any] = dict.fromkeys(("command", "user", "health_check", "readiness_health_check"))
    # Clients send it in every update that does not touch them.
    assert (await api.patch(path, nulls)).status == 200
    assert await kube.intent(space, name) == before
    for command in ("one", "two"):
        changed = await api.patch(
            path, {"command": command, "user": "vcap", "health_check": HTTP, "readiness_health_check": {"type": "port"}}
        )
        assert (changed.status, changed.json["command"], changed.json["user"]) == (200, command, "vcap")
    reply = await api.patch(path, {**nulls, "metadata": {"labels": {"a": "b"}}})
    assert reply.status == 200
    assert {key: reply.json[key] for key in nulls} == {key: shown[key] for key in nulls}
    after = await kube.intent(space, name)
    assert after["spec"] == before["spec"]
    assert after["annotations"].keys() - before["annotations"].keys() == {KEYS.last_write}


async def test_null_never_takes_back_what_was_deployed_since(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web", command=["old"])
    path, name = path_to(app, "web"), f"web-{app}"
    assert (await api.patch(path, {"command": "ours", "user": "7"})).status == 200
    await kube.patch_json(
        space, name, [{"op": "replace", "path": "/spec/template/spec/containers/0/command", "value": ["new", "one"]}]
    )
    reply = await api.patch(path, {"command": None})
    assert (reply.status, reply.json["command"], reply.json["user"]) == (200, "new one", "7")
    assert container_of(await kube.get(space, name))["command"] == ["new", "one"]


@pytest.mark.parametrize(
    "data",
    [
        {"timeout": 61, "invocation_timeout": 2, "interval": 3, "endpoint": None},
        {"timeout": None, "invocation_timeout": None, "interval": None, "endpoint": None},
        {"timeout": 1, "invocation_timeout": 2**31 - 1, "interval": 2**31 - 1, "endpoint": None},
        {"timeout": 180, "invocation_timeout": None, "interval": 10, "endpoint": None},
    ],
)
@pytest.mark.parametrize("kind", ["port", "process", "http"])
async def test_checks_read_back_exactly(
    api: Api, make_app: MakeApp, path_to: PathTo, kind: str, data: dict[str, Any]
) -> None:
    app = await make_app("web", ports=PORTS)
    endpoint = "/a" if kind == "http" else None
    sent = {"type": kind, "data": {**data, "endpoint": endpoint}}
    reply = await api.patch(path_to(app, "web"), {"health_check": sent})
    assert (reply.status, reply.json["health_check"]) == (200, sent)
    assert (await api.get(path_to(app, "web"))).json["health_check"] == sent


async def test_probes_changed_by_hand_are_believed(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web", ports=PORTS)
    path = path_to(app, "web")
    await api.patch(path, {"health_check": {"type": "process", "data": {"timeout": 9, "interval": 4}}})
    probe = {"tcpSocket": {"port": 9090}, "periodSeconds": 6, "timeoutSeconds": 2}
    containers = [{"name": "application", "livenessProbe": probe}]
    await kube.request(
        "PATCH",
        f"/apis/apps/v1/namespaces/{space}/deployments/web-{app}",
        {"spec": {"template": {"spec": {"containers": containers}}}},
        kind="application/strategic-merge-patch+json",
    )
    wanted = {"type": "port", "data": {"timeout": None, "invocation_timeout": 2, "interval": 6, "endpoint": None}}

    async def believed() -> bool:
        return bool((await api.get(path)).json["health_check"] == wanted)

    await eventually(believed)


async def test_what_a_hand_made_probe_has_more_survives(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    own = {"httpGet": {"path": "/old", "port": "admin", "httpHeaders": [{"name": "X", "value": "y"}]}}
    app = await make_app(
        "web",
        ports=[*PORTS, {"containerPort": 7070, "name": "admin"}],
        livenessProbe={**own, "failureThreshold": 9, "initialDelaySeconds": 4},
    )
    await api.patch(path_to(app, "web"), {"health_check": {"data": {"endpoint": "/new", "timeout": 30}}})
    container = container_of(await kube.get(space, f"web-{app}"))
    probe = container["livenessProbe"]
    assert (probe["failureThreshold"], probe["initialDelaySeconds"]) == (9, 4)
    for each in (probe, container["startupProbe"]):
        assert each["httpGet"] == {**own["httpGet"], "path": "/new", "scheme": "HTTP"}


async def test_nothing_new_begins_no_rollout(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web", ports=PORTS)
    path = path_to(app, "web")
    await api.patch(path, {"health_check": HTTP, "command": "one"})
    before = await kube.intent(space, f"web-{app}")
    bodies: list[object] = [{}, None, {"health_check": HTTP}, {"health_check": {}, "metadata": {}}, {"command": "one"}]
    for body in bodies:
        assert (await api.patch(path, body)).status == 200
    assert await kube.intent(space, f"web-{app}") == before


async def test_metadata_alone_does_not_touch_the_deployment(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web")
    before = await kube.intent(space, f"web-{app}")
    path = path_to(app, "web")
    sent = {"labels": {"example.test/tier": "", "x": "y"}, "annotations": {"note": "ключ " * 1000}}
    reply = await api.patch(path, {"metadata": sent})
    assert (reply.status, reply.json["metadata"]) == (200, sent)
    reply = await api.patch(path, {"metadata": {"labels": {"x": None, "never": None}}})
    assert reply.json["metadata"] == {**sent, "labels": {"example.test/tier": ""}}
    assert (await api.get(path)).json["metadata"] == reply.json["metadata"]
    assert await kube.intent(space, f"web-{app}") == before
    assert await api.guids(f"/v3/processes?app_guids={app}&label_selector=example.test/tier")
    assert await api.guids(f"/v3/processes?app_guids={app}&label_selector=x") == []


async def test_fifty_labels_and_two_hundred_annotations_are_the_most(
    api: Api, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web", ports=PORTS)
    path = path_to(app, "web")
    most = {"labels": {f"l{n}": "" for n in range(50)}, "annotations": {f"a{n}": "" for n in range(200)}}
    assert (await api.patch(path, {"metadata": most})).status == 200
    # Alone, and together with what Kubernetes has a part in.
    for more in ({}, {"command": "never"}):
        reply = await api.patch(path, {"metadata": {"labels": {"l50": ""}}, **more})
        assert_cf_error(reply, 422, 390020, "CF-LabelLimitExceeded")
        reply = await api.patch(path, {"metadata": {"annotations": {"a200": ""}}, **more})
        assert_cf_error(reply, 422, 390023, "CF-AnnotationLimitExceeded")
    process = (await api.get(path)).json
    assert (process["metadata"], process["command"]) == (most, "")
    swapped = await api.patch(path, {"metadata": {"labels": {"l0": None, "l50": ""}}, "command": "now"})
    assert (swapped.status, len(swapped.json["metadata"]["labels"])) == (200, 50)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"health_check": 5}, "'health_check' must be an object"),
        ({"health_check": {"data": None}}, "'health_check.data' must be an object"),
        ({"health_check": {"type": None}}, "'health_check.type'"),
        ({"health_check": {"type": "http"}}, "'health_check' of type http needs an endpoint"),
        ({"health_check": {"type": "http", "data": {"endpoint": None}}}, "endpoint"),
        ({"health_check": {"data": {"timeout": 181}}}, "'health_check.data.timeout'"),
        ({"health_check": {"data": {"endpoint": "no-slash"}}}, "'health_check.data.endpoint'"),
        ({"readiness_health_check": {"data": {"timeout": 1}}}, "'readiness_health_check.data.timeout'"),
        ({"command": ""}, "'command'"),
        ({"command": "x" * 4097}, "'command'"),
        ({"user": "nobody-knows"}, "'user'"),
        ({"user": 2000}, "'user'"),
        ({"metadata": {"labels": {"cloudfoundry.org/x": "y"}}}, "cloudfoundry.org"),
        ({"metadata": {"labels": {"a": 1}}}, "key 'a'"),
        ({"metadata": {"annotations": {"a": "x" * 5001}}}, "key 'a'"),
        ({"metadata": {"annotations": {"a": "\0"}}}, "key 'a'"),
        ({"metadata": {"labels": {"x" * 64: "y"}}}, "63"),
        ({"instances": 3}, "Unknown field(s): 'instances'"),
    ],
)
async def test_bad_values_are_refused_by_name_and_change_nothing(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo, body: dict[str, Any], named: str
) -> None:
    app = await make_app("web", ports=PORTS, command=["app"])
    before, process = await kube.intent(space, f"web-{app}"), (await api.get(path_to(app, "web"))).json
    reply = await api.patch(path_to(app, "web"), {"metadata": {"labels": {"never": "seen"}}, "user": "5", **body})
    assert named in assert_cf_error(reply, 422, 10008, "CF-UnprocessableEntity")
    assert await kube.intent(space, f"web-{app}") == before
    assert (await api.get(path_to(app, "web"))).json == process


async def test_a_check_of_a_port_needs_one(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web")
    before = await kube.intent(space, f"web-{app}")
    for check in ({"type": "port"}, HTTP):
        reply = await api.patch(path_to(app, "web"), {"health_check": check, "metadata": {"labels": {"a": "b"}}})
        assert "no TCP port" in assert_cf_error(reply, 422, 10008, "CF-UnprocessableEntity")
    assert await kube.intent(space, f"web-{app}") == before
    assert (await api.get(path_to(app, "web"))).json["metadata"]["labels"] == {}


async def test_user_names_are_a_setting(settings: Settings, operator_token: str, make_app: MakeApp) -> None:
    app = await make_app("web")
    async with running(replace(settings, user_ids=("admin=0", "cnb=1000")), token=operator_token) as served:
        path = f"/v3/apps/{app}/processes/web"
        assert (await served.patch(path, {"user": "cnb"})).json["user"] == "cnb"
        assert (await served.patch(path, {"user": "0"})).json["user"] == "0"
        assert (await served.patch(path, {"user": "1000"})).json["user"] == "1000"
        assert (await served.patch(path, {"user": "1000"})).json["user"] == "1000"
        reply = await served.patch(path, {"user": "vcap"})
        assert "'admin', 'cnb'" in assert_cf_error(reply, 422, 10008, "CF-UnprocessableEntity")


async def test_rights_decide(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo, users: Users
) -> None:
    app = await make_app("web")
    before, path = await kube.intent(space, f"web-{app}"), path_to(app, "web")
    bodies: list[object] = [{"command": "x"}, {"metadata": {"labels": {"a": "b"}}}, {"nonsense": 1}, {}, []]
    for body in bodies:
        assert_cf_error(await api.as_user(users.viewer).patch(path, body), 403, 10003, "CF-NotAuthorized")
        not_found = await api.as_user(users.stranger).patch(path, body)
        assert_cf_error(not_found, 404, 10010, "CF-ResourceNotFound")
        assert_cf_error(await api.as_user(users.nobody).patch(path, body), 403, 10003, "CF-NotAuthorized")
        assert_cf_error(await api.as_user(None).patch(path, body), 401, 10002, "CF-NotAuthenticated")
    assert await kube.intent(space, f"web-{app}") == before
    assert (await api.get(path)).json["metadata"]["labels"] == {}
    reply = await api.as_user(users.operator).patch(path, {"command": "x", "metadata": {"labels": {"a": "b"}}})
    assert (reply.status, reply.json["metadata"]["labels"]) == (200, {"a": "b"})


async def test_a_write_is_one_line_in_the_log_without_what_was_sent(
    api: Api, space: str, make_app: MakeApp, path_to: PathTo, capfd: pytest.CaptureFixture[str], users: Users
) -> None:
    app = await make_app("web", env=[{"name": "PASSWORD", "value": "s3cret-value"}])
    capfd.readouterr()
    telemetry.configure_logging("info")
    reply = await api.patch(
        path_to(app, "web"), {"command": "run --password=hunter2", "metadata": {"annotations": {"a": "private-note"}}}
    )
    await api.as_user(users.viewer).patch(path_to(app, "web"), {"command": "other --password=hunter2"})
    out, err = capfd.readouterr()
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()
    done, refused = (orjson.loads(line) for line in (out + err).splitlines() if "audit" in line)
    said = {"action": "update", "outcome": "done", "app_guid": app, "process_type": "web", "namespace": space}
    assert {key: done[key] for key in said} == said
    assert done["changes"] == ["command", "annotations"]
    assert done["request_id"] == reply.headers["X-Vcap-Request-Id"]
    assert done["user"].startswith("system:serviceaccount:default:user-")
    assert refused["outcome"] == "CF-NotAuthorized"
    for secret in ("hunter2", "private-note", "s3cret-value", str(api.token), users.viewer):
        assert secret not in out + err


async def test_concurrent_changes_of_different_fields_all_count(
    api: Api, settings: Settings, operator_token: str, make_app: MakeApp
) -> None:
    """Many clients, two replicas, both stores: what each has sent is there in the end."""
    app = await make_app("web", ports=PORTS)
    path = f"/v3/apps/{app}/processes/web"
    async with running(settings, token=operator_token) as other:
        replicas = (api, other)

        async def client(number: int) -> None:
            for turn in range(4):
                body: dict[str, Any] = {"metadata": {"labels": {f"k{number}": str(turn)}}}
                if number % 3 == 0:
                    body["readiness_health_check"] = {"type": "process", "data": {"interval": 10 * number + turn + 1}}
                elif number % 3 == 1:
                    body["command"] = f"client-{number} turn-{turn}"
                while True:
                    reply = await replicas[(number + turn) % 2].patch(path, body)
                    if reply.status == 200:
                        break
                    # Lost every race for too long: told to come again, with nothing changed.
                    assert_cf_error(reply, 503, 10015, "CF-ServiceUnavailable")
                    await asyncio.sleep(0.1)
                for replica in replicas:
                    seen = (await replica.get(path)).json["metadata"]["labels"]
                    assert seen[f"k{number}"] == str(turn), (number, turn)

        await asyncio.gather(*map(client, range(9)))
        expected = {f"k{number}": "3" for number in range(9)}
        for replica in replicas:
            assert (await replica.get(path)).json["metadata"]["labels"] == expected
    async with connected(settings.database_url, 5) as connection:
        pending = await connection.fetchval("SELECT pending FROM process_metadata WHERE app_guid = $1", app)
        assert pending == {}
