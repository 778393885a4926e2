"""POST …/actions/scale, at both addresses."""

from typing import Any

import orjson
import pytest

from tests.support.api import Api, assert_cf_error
from tests.support.apps import MakeApp, PathTo, Users
from tests.support.kube import Kube, eventually


def container_of(found: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = found["spec"]["template"]["spec"]["containers"][0]
    return container


async def test_answers_with_what_is_wanted_and_kubernetes_has_it(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web", resources={"requests": {"cpu": "10m"}})
    reply = await api.post(
        f"{path_to(app, 'web')}/actions/scale",
        {"instances": 3, "memory_in_mb": 48, "disk_in_mb": 96, "log_rate_limit_in_bytes_per_second": 1024},
    )
    assert reply.status == 202
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
    assert "Location" not in reply.headers
    wanted = {"instances": 3, "memory_in_mb": 48, "disk_in_mb": 96, "log_rate_limit_in_bytes_per_second": 1024}
    assert {key: reply.json[key] for key in wanted} == wanted
    found = await kube.get(space, f"web-{app}")
    assert found["spec"]["replicas"] == 3
    amounts = {"memory": "48Mi", "ephemeral-storage": "96Mi"}
    assert container_of(found)["resources"] == {"limits": amounts, "requests": {"cpu": "10m", **amounts}}
    read = (await api.get(path_to(app, "web"))).json
    # The rollout it began goes on by itself.
    assert {**read, "version": "", "updated_at": ""} == {**reply.json, "version": "", "updated_at": ""}


async def test_replicas_and_template_change_in_one_patch(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web")
    before = (await kube.get(space, f"web-{app}"))["metadata"]["generation"]
    await api.post(f"{path_to(app, 'web')}/actions/scale", {"instances": 1, "memory_in_mb": 32})
    assert (await kube.get(space, f"web-{app}"))["metadata"]["generation"] == before + 1


@pytest.mark.parametrize("body", [None, {}, {"instances": None, "memory_in_mb": None}])
async def test_nothing_asked_for_changes_nothing(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo, body: object
) -> None:
    app = await make_app("web", replicas=1)
    before = await kube.get(space, f"web-{app}")
    reply = await api.post(f"{path_to(app, 'web')}/actions/scale", body)
    assert (reply.status, reply.json["instances"]) == (202, 1)
    after = await kube.get(space, f"web-{app}")
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


async def test_numbers_may_be_texts_of_digits(api: Api, make_app: MakeApp, path_to: PathTo) -> None:
    path = path_to(await make_app("web"), "web")
    wanted = {"instances": 2, "memory_in_mb": 48, "disk_in_mb": 96, "log_rate_limit_in_bytes_per_second": 1024}
    reply = await api.post(f"{path}/actions/scale", {name: str(number) for name, number in wanted.items()})
    assert (reply.status, {name: reply.json[name] for name in wanted}) == (202, wanted)


async def test_no_limit_is_zero_which_may_be_sent_back_and_not_be_asked_for(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web", resources={"limits": {"memory": "64Mi"}})
    path, before = path_to(app, "web"), await kube.intent(space, f"web-{app}")
    shown = (await api.get(path)).json
    assert (shown["memory_in_mb"], shown["disk_in_mb"]) == (64, 0)
    assert (await api.post(f"{path}/actions/scale", {"memory_in_mb": 64, "disk_in_mb": 0})).status == 202
    refused = await api.post(f"{path}/actions/scale", {"memory_in_mb": 0, "disk_in_mb": 0})
    assert "'memory_in_mb'" in assert_cf_error(refused, 422, 10008, "CF-UnprocessableEntity")
    assert await kube.intent(space, f"web-{app}") == before


async def test_to_zero_and_back(api: Api, make_app: MakeApp, path_to: PathTo) -> None:
    app = await make_app("web", replicas=1)
    for instances in (0, 2, 0):
        reply = await api.post(f"{path_to(app, 'web')}/actions/scale", {"instances": instances})
        assert (reply.status, reply.json["instances"]) == (202, instances)
        stats = await api.get(f"{path_to(app, 'web')}/stats")
        assert len(stats.json["resources"]) == instances


async def test_log_rate_alone_does_not_touch_the_deployment(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web")
    before = await kube.intent(space, f"web-{app}")
    for rate in (0, -1, 2**63 - 1):
        reply = await api.post(f"{path_to(app, 'web')}/actions/scale", {"log_rate_limit_in_bytes_per_second": rate})
        assert (reply.status, reply.json["log_rate_limit_in_bytes_per_second"]) == (202, rate)
        assert (await api.get(path_to(app, "web"))).json["log_rate_limit_in_bytes_per_second"] == rate
    assert await kube.intent(space, f"web-{app}") == before


async def test_the_app_container_is_scaled_whatever_it_is_called(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web", name="something-else")
    reply = await api.post(f"{path_to(app, 'web')}/actions/scale", {"memory_in_mb": 77})
    assert (reply.status, reply.json["memory_in_mb"]) == (202, 77)
    found = await kube.get(space, f"web-{app}")
    assert [c["name"] for c in found["spec"]["template"]["spec"]["containers"]] == ["something-else"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"instances": -1}, "'instances'"),
        ({"instances": 2**31}, "'instances'"),
        *(({"instances": text}, "'instances'") for text in ("", "3.0", "3 ", "-1", "2147483648")),
        ({"memory_in_mb": "3.5"}, "'memory_in_mb'"),
        ({"instances": 5.0}, "'instances'"),
        ({"instances": True}, "'instances'"),
        (b'{"instances": 1e30}', "'instances'"),
        (b'{"instances": 1000000000000000000000000000000}', "'instances'"),
        ({"memory_in_mb": 0}, "'memory_in_mb'"),
        ({"memory_in_mb": "0", "instances": 3}, "'memory_in_mb'"),
        ({"disk_in_mb": 2**31}, "'disk_in_mb'"),
        ({"log_rate_limit_in_bytes_per_second": -2}, "'log_rate_limit_in_bytes_per_second'"),
        (b'{"log_rate_limit_in_bytes_per_second": 9223372036854775808}', "'log_rate_limit_in_bytes_per_second'"),
        ({"replicas": 1, "instances": 2}, "Unknown field(s): 'replicas'"),
        ([], "object"),
        ("text", "object"),
        (b"null", "object"),
    ],
)
async def test_bad_values_are_refused_by_name_and_change_nothing(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo, body: object, named: str
) -> None:
    app = await make_app("web", resources={"limits": {"memory": "64Mi"}})
    before = await kube.intent(space, f"web-{app}")
    reply = await api.post(f"{path_to(app, 'web')}/actions/scale", body)
    assert named in assert_cf_error(reply, 422, 10008, "CF-UnprocessableEntity")
    assert await kube.intent(space, f"web-{app}") == before


async def test_all_complaints_come_at_once(api: Api, make_app: MakeApp, path_to: PathTo) -> None:
    app = await make_app("web")
    body = {"a": 1, "instances": -1, "b": 2, "memory_in_mb": -1}
    reply = await api.post(f"{path_to(app, 'web')}/actions/scale", body)
    detail = assert_cf_error(reply, 422, 10008, "CF-UnprocessableEntity")
    assert detail.startswith("Unknown field(s): 'a', 'b', 'instances' must be ")
    assert "'memory_in_mb' must be " in detail


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{'instances': 1}",
        b'{"instances": 1}}',
        b"\xff\xfe",
        b"[" * 10_000,
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
    ],
    ids=["truncated", "single quotes", "trailing", "no UTF-8", "deep and open", "deep"],
)
async def test_what_is_no_json_is_a_parse_error(api: Api, make_app: MakeApp, path_to: PathTo, body: bytes) -> None:
    app = await make_app("web")
    reply = await api.post(f"{path_to(app, 'web')}/actions/scale", body)
    assert_cf_error(
        reply, 400, 1001, "CF-MessageParseError", "Request invalid due to parse error: invalid request body"
    )


async def test_unparsable_body_is_told_before_whether_there_is_such_a_process(api: Api) -> None:
    for path in ("/v3/processes/nope", "/v3/apps/nope/processes/web"):
        assert_cf_error(await api.post(f"{path}/actions/scale", b"{"), 400, 1001, "CF-MessageParseError")


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", "nonsense", ""])
async def test_json_is_json_whatever_its_type_is_said_to_be(
    api: Api, make_app: MakeApp, path_to: PathTo, content_type: str
) -> None:
    app = await make_app("web")
    reply = await api.post(
        f"{path_to(app, 'web')}/actions/scale", {"memory_in_mb": 33}, headers={"Content-Type": content_type}
    )
    assert (reply.status, reply.json["memory_in_mb"]) == (202, 33)


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
async def test_a_form_is_refused(api: Api, make_app: MakeApp, path_to: PathTo, content_type: str) -> None:
    app = await make_app("web")
    reply = await api.post(
        f"{path_to(app, 'web')}/actions/scale", {"instances": 1}, headers={"Content-Type": content_type}
    )
    assert_cf_error(reply, 422, 10008, "CF-UnprocessableEntity")


async def test_large_body_is_refused(api: Api, make_app: MakeApp, path_to: PathTo) -> None:
    app = await make_app("web")
    reply = await api.post(f"{path_to(app, 'web')}/actions/scale", b'"' + b"x" * (1 << 20) + b'"')
    assert_cf_error(reply, 413, 10008, "CF-UnprocessableEntity")


async def test_query_parameters_are_passed_over(api: Api, make_app: MakeApp, path_to: PathTo) -> None:
    app = await make_app("web")
    reply = await api.post(f"{path_to(app, 'web')}/actions/scale?page=0&nonsense=1", {"memory_in_mb": 34})
    assert reply.status == 202


async def test_unknown_is_not_found_by_its_name(api: Api, make_app: MakeApp) -> None:
    app = await make_app("web")
    for path, detail in (
        ("/v3/processes/nope", "Process not found"),
        ("/v3/apps/nope/processes/web", "App not found"),
        (f"/v3/apps/{app}/processes/worker", "Process not found"),
    ):
        reply = await api.post(f"{path}/actions/scale", {"instances": 1})
        assert_cf_error(reply, 404, 10010, "CF-ResourceNotFound", detail)


async def test_a_deployment_deleted_a_moment_ago_is_not_found(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web")
    await kube.delete(space, f"web-{app}")
    reply = await api.post(f"{path_to(app, 'web')}/actions/scale", {"memory_in_mb": 12})
    assert_cf_error(reply, 404, 10010, "CF-ResourceNotFound")


async def test_rights_decide(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo, users: Users
) -> None:
    app = await make_app("web")
    before = await kube.intent(space, f"web-{app}")
    path = f"{path_to(app, 'web')}/actions/scale"
    # What Kubernetes has a part in, what it has none in, nothing at all, and what is wrong: all the same.
    bodies: list[object] = [
        {"instances": 1},
        {"log_rate_limit_in_bytes_per_second": 5},
        {},
        {"instances": -1},
        [],
    ]
    for body in bodies:
        reply = await api.as_user(users.viewer).post(path, body)
        assert_cf_error(reply, 403, 10003, "CF-NotAuthorized", "You are not authorized to perform the requested action")
        not_found = await api.as_user(users.stranger).post(path, body)
        assert_cf_error(not_found, 404, 10010, "CF-ResourceNotFound")
        assert_cf_error(await api.as_user(users.nobody).post(path, body), 403, 10003, "CF-NotAuthorized")
        assert_cf_error(await api.as_user("garbage").post(path, body), 401, 1000, "CF-InvalidAuthToken")
        assert_cf_error(await api.as_user(None).post(path, body), 401, 10002, "CF-NotAuthenticated")
    assert await kube.intent(space, f"web-{app}") == before
    assert (await api.get(path_to(app, "web"))).json["log_rate_limit_in_bytes_per_second"] == -1
    reply = await api.as_user(users.operator).post(path, {"memory_in_mb": 21})
    assert (reply.status, reply.json["memory_in_mb"]) == (202, 21)


async def test_it_is_the_caller_who_writes(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web")
    await api.post(f"{path_to(app, 'web')}/actions/scale", {"memory_in_mb": 35})
    managers = (await kube.get(space, f"web-{app}"))["metadata"]["managedFields"]
    assert "cf-processes" in {each["manager"] for each in managers}


async def test_what_admission_refuses_is_unprocessable_in_its_words_and_changes_nothing(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web")
    policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    bindings = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
    name = f"no-more-than-five-{space}"
    for reason in ("Invalid", "Forbidden"):
        await kube.request(
            "POST",
            policies,
            {
                "metadata": {"name": name},
                "spec": {
                    "failurePolicy": "Fail",
                    "matchConstraints": {
                        "resourceRules": [
                            {
                                "apiGroups": ["apps"],
                                "apiVersions": ["v1"],
                                "operations": ["UPDATE"],
                                "resources": ["deployments"],
                            }
                        ]
                    },
                    "validations": [
                        {
                            "expression": "object.spec.replicas <= 5",
                            "message": "at most five, says the house rule",
                            "reason": reason,
                        }
                    ],
                },
            },
        )
        selector = {"matchLabels": {"kubernetes.io/metadata.name": space}}
        await kube.request(
            "POST",
            bindings,
            {
                "metadata": {"name": name},
                "spec": {
                    "policyName": name,
                    "validationActions": ["Deny"],
                    "matchResources": {"namespaceSelector": selector},
                },
            },
        )

        async def refused() -> bytes | None:
            # A policy takes a moment until kube-apiserver applies it: what was let through until then would not be
            # asked for again.
            assert (await api.post(f"{path_to(app, 'web')}/actions/scale", {"instances": 0})).status == 202
            reply = await api.post(f"{path_to(app, 'web')}/actions/scale", {"instances": 6})
            return reply.body if reply.status == 422 else None

        body = await eventually(refused)
        (error,) = orjson.loads(body)["errors"]
        assert (error["code"], error["title"]) == (10008, "CF-UnprocessableEntity")
        assert "at most five, says the house rule" in error["detail"]
        before = await kube.intent(space, f"web-{app}")
        row = (await api.get(path_to(app, "web"))).json
        reply = await api.post(
            f"{path_to(app, 'web')}/actions/scale",
            {"instances": 7, "memory_in_mb": 99, "log_rate_limit_in_bytes_per_second": 7},
        )
        assert_cf_error(reply, 422, 10008, "CF-UnprocessableEntity")
        assert await kube.intent(space, f"web-{app}") == before
        assert (await api.get(path_to(app, "web"))).json == row
        await kube.request("DELETE", f"{bindings}/{name}")
        await kube.request("DELETE", f"{policies}/{name}")

        async def allowed() -> bool:
            reply = await api.post(f"{path_to(app, 'web')}/actions/scale", {"instances": 6})
            return reply.status == 202

        await eventually(allowed)
        await api.post(f"{path_to(app, 'web')}/actions/scale", {"instances": 0})


async def test_what_kubernetes_validation_refuses_is_unprocessable(
    api: Api, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web", resources={"limits": {"memory": "64Mi"}, "requests": {"memory": "64Mi"}})
    reply = await api.patch(path_to(app, "web"), {"health_check": {"type": "port"}})
    assert "port" in assert_cf_error(reply, 422, 10008, "CF-UnprocessableEntity")
