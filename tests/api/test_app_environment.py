"""GET and PATCH /v3/apps/{guid}/environment_variables, and GET /v3/apps/{guid}/env."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.support.api import Api, Reply, assert_cf_error
from tests.support.apps import MakeApp, Users
from tests.support.kube import Kube, deployment, eventually
from tests.support.logs import logged

BY_REFERENCE = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "bank", "key": "token"}}}
ENV = [{"name": "LEVEL", "value": "info"}, {"name": "EMPTY"}, BY_REFERENCE]


def path_of(app: str, what: str = "environment_variables") -> str:
    return f"/v3/apps/{app}/{what}"


async def env_of(kube: Kube, space: str, app: str, process_type: str = "web") -> list[dict[str, Any]]:
    found = await kube.get(space, f"{process_type}-{app}")
    env: list[dict[str, Any]] = found["spec"]["template"]["spec"]["containers"][0].get("env", [])
    return env


async def test_shows_the_values_that_the_deployment_holds_and_no_references(api: Api, make_app: MakeApp) -> None:
    app = await make_app("web", env=ENV, envFrom=[{"secretRef": {"name": "bank", "optional": True}}])
    reply = await api.get(path_of(app))
    assert reply.status == 200
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.json["var"] == {"LEVEL": "info", "EMPTY": ""}
    assert reply.json["links"] == {
        "self": {"href": f"{api.url}{path_of(app)}", "method": "GET"},
        "app": {"href": f"{api.url}/v3/apps/{app}", "method": "GET"},
    }
    everything = await api.get(path_of(app, "env"))
    assert (everything.status, everything.headers["Cache-Control"]) == (200, "no-store")
    assert list(everything.json.items()) == [
        ("environment_variables", {"LEVEL": "info", "EMPTY": ""}),
        *((f"{name}_json", {}) for name in ("staging_env", "running_env", "system_env", "application_env")),
    ]


async def test_shows_those_of_web_else_of_the_oldest(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("worker", env=[{"name": "OF", "value": "worker"}])
    assert (await api.get(path_of(app))).json["var"] == {"OF": "worker"}
    await kube.create(deployment(f"web-{app}", space, app, "web", env=[{"name": "OF", "value": "web"}]))

    async def of_web() -> bool:
        return bool((await api.get(path_of(app))).json["var"] == {"OF": "web"})

    await eventually(of_web)


async def test_merges_and_rolls_out_every_process(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("web", "worker", env=[*ENV, {"name": "OLD", "value": "1"}])
    reply = await api.patch(path_of(app), {"var": {"LEVEL": "debug", "NEW": "a=b\n$HOME", "OLD": None, "NEVER": None}})
    assert (reply.status, reply.json["var"]) == (200, {"LEVEL": "debug", "NEW": "a=b\n$HOME", "EMPTY": ""})
    assert reply.json["var"] == (await api.get(path_of(app))).json["var"]
    for process_type in ("web", "worker"):
        env = {entry["name"]: entry for entry in await env_of(kube, space, app, process_type)}
        assert env.keys() == {"LEVEL", "NEW", "EMPTY", "TOKEN"}
        assert env["TOKEN"] == BY_REFERENCE
        assert (await kube.get(space, f"{process_type}-{app}"))["metadata"]["generation"] == 2


async def test_what_changes_nothing_rolls_nothing_out(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("web", env=[*ENV, {"name": "URL", "value": "http://$(LEVEL):$$1"}])
    shown = (await api.get(path_of(app))).json["var"]
    assert shown["URL"] == "http://$(LEVEL):$1"
    bodies: list[dict[str, Any]] = [{"var": shown}, {"var": {"NEVER": None}}, {"var": {}}, {}]
    for body in bodies:
        assert (await api.patch(path_of(app), body)).status == 200
    assert (await kube.get(space, f"web-{app}"))["metadata"]["generation"] == 1


@pytest.mark.parametrize("value", ["pa$$word", "$(LEVEL)", "$$(LEVEL)", "$", "a$$", "$$$", "x" * 100_000])
async def test_a_value_is_taken_as_it_is(api: Api, kube: Kube, space: str, make_app: MakeApp, value: str) -> None:
    app = await make_app("web", env=[{"name": "LEVEL", "value": "info"}])
    reply = await api.patch(path_of(app), {"var": {"IT": value}})
    assert reply.json["var"]["IT"] == value
    (stored,) = [entry["value"] for entry in await env_of(kube, space, app) if entry["name"] == "IT"]
    assert _expanded(stored) == value


def _expanded(text: str) -> str:
    """As a kubelet reads it (third_party/forked/golang/expansion), where LEVEL is `info`."""
    result, rest = "", text
    while rest:
        if rest.startswith("$$"):
            result, rest = result + "$", rest[2:]
        elif rest.startswith("$(LEVEL)"):
            result, rest = result + "info", rest[8:]
        else:
            result, rest = result + rest[0], rest[1:]
    return result


@pytest.mark.parametrize("value", ["other", None])
async def test_a_variable_that_stands_there_twice_is_changed(
    api: Api, kube: Kube, space: str, make_app: MakeApp, value: str | None
) -> None:
    twice = [{"name": "LEVEL", "value": "info"}, {"name": "B", "value": "2"}, {"name": "LEVEL", "value": "warning"}]
    app = await make_app("web", env=twice)
    assert (await api.get(path_of(app))).json["var"] == {"LEVEL": "warning", "B": "2"}
    wanted = {"B": "2"} if value is None else {"B": "2", "LEVEL": value}
    assert (await api.patch(path_of(app), {"var": {"LEVEL": value}})).json["var"] == wanted
    assert {each["name"]: each["value"] for each in await env_of(kube, space, app)} == wanted


async def test_what_is_more_than_a_deployment_can_hold_is_refused(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web", env=[{"name": f"A{number}", "value": "x" * 100_000} for number in range(14)])
    before = await kube.intent(space, f"web-{app}")
    reply = await api.patch(path_of(app), {"var": {f"B{number}": "x" * 100_000 for number in range(3)}})
    assert "too large" in assert_cf_error(reply, 422, 10008, "CF-UnprocessableEntity")
    assert await kube.intent(space, f"web-{app}") == before


@pytest.mark.parametrize("value", ["other", None])
async def test_what_is_given_by_reference_is_not_lost(
    api: Api, kube: Kube, space: str, make_app: MakeApp, value: str | None
) -> None:
    app = await make_app("web", env=ENV)
    before = await kube.intent(space, f"web-{app}")
    refused = await api.patch(path_of(app), {"var": {"LEVEL": "debug", "TOKEN": value}})
    detail = assert_cf_error(refused, 422, 10008, "CF-UnprocessableEntity")
    assert "'TOKEN'" in detail
    assert "bank" not in detail
    assert await kube.intent(space, f"web-{app}") == before


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"var": {"A": 1}}, "'A'"),
        ({"var": {"A": True}}, "'A'"),
        ({"var": {"A": {"b": "c"}}}, "'A'"),
        ({"var": {"A": "nul\0"}}, "'A'"),
        ({"var": {"A": "x" * 140_000}}, "'A'"),
        ({"var": {"": "x"}}, "''"),
        ({"var": {"A=B": "x"}}, "'A=B'"),
        ({"var": {"Ä": "x"}}, "'Ä'"),
        ({"var": {"x" * 254: "x"}}, "'xxx"),
        ({"var": {f"V{n}": "x" for n in range(1001)}}, "'var'"),
        ({"var": None}, "'var'"),
        ({"var": ["A"]}, "'var'"),
        ({"vars": {}}, "'vars'"),
        ([], "object"),
    ],
)
async def test_refuses_what_is_no_variable_and_says_no_value(
    api: Api, kube: Kube, space: str, make_app: MakeApp, body: Any, named: str
) -> None:
    app = await make_app("web", env=ENV)
    before = await kube.intent(space, f"web-{app}")
    detail = assert_cf_error(await api.patch(path_of(app), body), 422, 10008, "CF-UnprocessableEntity")
    assert named in detail
    assert len(detail) < 1000
    assert await kube.intent(space, f"web-{app}") == before


async def test_only_who_may_change_them_may_read_them(
    api: Api, kube: Kube, space: str, users: Users, make_app: MakeApp
) -> None:
    app = await make_app("web", env=ENV)
    nowhere = str(uuid4())
    asks: list[Callable[[Api, str], Awaitable[Reply]]] = [
        lambda user, guid: user.get(path_of(guid)),
        lambda user, guid: user.get(path_of(guid, "env")),
        lambda user, guid: user.patch(path_of(guid), {"var": {"LEVEL": 1}}),
    ]
    for ask in asks:
        denied = await ask(api.as_user(users.viewer), app)
        assert_cf_error(denied, 403, 10003, "CF-NotAuthorized")
        assert b"LEVEL" not in denied.body
        assert b"info" not in denied.body
        hidden, missing = await ask(api.as_user(users.stranger), app), await ask(api.as_user(users.stranger), nowhere)
        assert_cf_error(hidden, 404, 10010, "CF-ResourceNotFound", "App not found")
        assert hidden.body == missing.body
        assert_cf_error(await ask(api.as_user(None), app), 401, 10002, "CF-NotAuthenticated")
    assert (await api.as_user(users.operator).get(path_of(app))).json["var"]["LEVEL"] == "info"


async def test_one_deployment_that_may_not_be_changed_keeps_all_from_being(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web", "worker", env=ENV)
    role = await kube.create_role(
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"], "resourceNames": [f"web-{app}"]},
    )
    token = await kube.token_of_new_user(cluster_roles=("processes-api",), roles_in={space: role})
    before = await kube.intent(space, f"web-{app}")
    refused = await api.as_user(token).patch(path_of(app), {"var": {"LEVEL": "debug"}})
    assert_cf_error(refused, 403, 10003, "CF-NotAuthorized")
    assert await kube.intent(space, f"web-{app}") == before
    # Reading is of web alone.
    assert (await api.as_user(token).get(path_of(app))).status == 200


async def test_a_guid_of_two_namespaces_reads_as_the_oldest_and_is_not_changed(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app, elsewhere = await make_app("web", env=ENV), await kube.create_namespace()
    await asyncio.sleep(1.1)  # Ages are whole seconds.
    await kube.create(deployment(f"web-{app}", elsewhere, app, env=[{"name": "LEVEL", "value": "theirs"}]))

    async def both() -> bool:
        return "X-Cf-Warnings" in (await api.get(f"/v3/apps/{app}")).headers

    await eventually(both)
    for what in ("environment_variables", "env"):
        reply = await api.get(path_of(app, what))
        assert (reply.status, elsewhere in reply.headers["X-Cf-Warnings"]) == (200, True)
        assert b"theirs" not in reply.body
    refused = await api.patch(path_of(app), {"var": {"LEVEL": "debug"}})
    assert elsewhere in assert_cf_error(refused, 422, 10008, "CF-UnprocessableEntity")
    await kube.delete_namespace(elsewhere)


async def test_two_at_once_lose_nothing_of_each_other(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("web", "worker", env=ENV)
    replies = await asyncio.gather(*(api.patch(path_of(app), {"var": {f"V{n}": str(n)}}) for n in range(6)))
    assert [reply.status for reply in replies] == [200] * 6
    for process_type in ("web", "worker"):
        env = {entry["name"]: entry.get("value") for entry in await env_of(kube, space, app, process_type)}
        assert {f"V{n}": str(n) for n in range(6)}.items() <= env.items()


async def test_no_log_has_a_value_or_a_name(api: Api, make_app: MakeApp, capfd: pytest.CaptureFixture[str]) -> None:
    app = await make_app("web", env=[{"name": "KNOWN", "value": "open-sesame"}])
    with logged(capfd) as log:
        await api.get(path_of(app, "env"))
        await api.patch(path_of(app), {"var": {"ADDED": "hush-hush"}})
        await api.patch(path_of(app), {"var": {"ADDED": "hush-hush\0"}})
    assert [(line["action"], line["changes"]) for line in log.audits] == [
        ("read environment", []),
        ("update environment", ["1 environment variables"]),
        ("update environment", []),
    ]
    assert not [word for word in ("open-sesame", "hush-hush", "KNOWN", "ADDED") if word in log.text]
