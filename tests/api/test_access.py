"""Who sees what, decided by the real kube-apiserver with real RBAC, at every address."""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from service.settings import Settings
from tests.support.api import Api, assert_cf_error, running
from tests.support.apps import MakeApp, PathTo, Users
from tests.support.kube import Kube, eventually, guid_of
from tests.support.metrics import scrape, start_over

ListPath = Callable[[str], str]
RBAC = "/apis/rbac.authorization.k8s.io/v1"
LOOKUPS = "cf_processes_review_lookups_total"


async def test_viewer_sees_their_space_and_nothing_else(
    api: Api, make_app: MakeApp, kube: Kube, users: Users, path_to: PathTo
) -> None:
    elsewhere = await kube.create_namespace()
    mine, hidden = await make_app("web", "worker"), await make_app("web", namespace=elsewhere)
    viewer = api.as_user(users.viewer)
    assert set(await viewer.all_guids("/v3/processes?per_page=1")) == {
        guid_of(mine, "web"),
        guid_of(mine, "worker"),
    }
    assert await viewer.guids(f"/v3/processes?app_guids={hidden}") == []
    assert (await viewer.get(path_to(mine, "web"))).status == 200
    assert (await viewer.get(path_to(hidden, "web"))).status == 404
    await kube.delete_namespace(elsewhere)


async def test_invisible_answers_exactly_like_what_does_not_exist(api: Api, make_app: MakeApp, users: Users) -> None:
    app = await make_app("web")
    stranger = api.as_user(users.stranger)
    for hidden, missing in (
        (f"/v3/processes/{guid_of(app, 'web')}", "/v3/processes/no-such"),
        (f"/v3/apps/{app}/processes/web", "/v3/apps/no-such/processes/web"),
        (f"/v3/apps/{app}/processes/worker", "/v3/apps/no-such/processes/worker"),
        (f"/v3/apps/{app}/processes", "/v3/apps/no-such/processes"),
    ):
        one, two = await stranger.get(hidden), await stranger.get(missing)
        assert (one.status, one.body) == (two.status, two.body)
        assert one.status == 404
        varying = {"X-Vcap-Request-Id", "Date"}
        assert {k: v for k, v in one.headers.items() if k not in varying} == {
            k: v for k, v in two.headers.items() if k not in varying
        }


async def test_invisible_takes_as_many_reviews_as_what_does_not_exist(
    settings: Settings, api: Api, kube: Kube, make_app: MakeApp
) -> None:
    other = await kube.create_namespace()
    app = await make_app("web")
    # That of which nobody is told is asked about as if it were in one of the namespaces that hold a process.
    await make_app("web", namespace=other)
    async with running(replace(settings, review_ttl_s=600)) as served:
        for hidden, missing in (
            (f"/v3/processes/{guid_of(app, 'web')}", f"/v3/processes/{guid_of(app, 'no-such')}"),
            (f"/v3/apps/{app}/processes/web", "/v3/apps/no-such/processes/web"),
            (f"/v3/apps/{app}/processes", "/v3/apps/no-such/processes"),
        ):
            taken = []
            for path in (hidden, missing):
                stranger = await kube.token_of_new_user(
                    cluster_roles=("processes-api",), roles_in={"default": "processes-reader"}
                )
                before = (await scrape(served)).value(LOOKUPS, review="access", result="miss")
                assert (await served.as_user(stranger).get(path)).status == 404
                taken.append((await scrape(served)).value(LOOKUPS, review="access", result="miss") - before)
            # May use the API; may do so everywhere; may do so there.
            assert taken == [3, 3]
    await kube.delete_namespace(other)


async def test_grant_on_one_deployment_is_for_that_one_whatever_is_changed_of_it(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    mine, other = await make_app("web"), await make_app("web")
    role = await kube.create_role(
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"], "resourceNames": [f"web-{mine}"]},
    )
    user = api.as_user(await kube.token_of_new_user(cluster_roles=("processes-api",), roles_in={space: role}))
    metadata, both = {"metadata": {"labels": {"tier": "edge"}}}, {"health_check": {"type": "process"}}
    for body in (metadata, both, {**metadata, **both}):
        assert (await user.patch(path_to(mine, "web"), body)).status == 200
        assert_cf_error(await user.patch(path_to(other, "web"), body), 403, 10003, "CF-NotAuthorized")


async def test_known_to_the_cluster_but_not_let_into_the_api_is_forbidden(
    api: Api, make_app: MakeApp, users: Users, list_path: ListPath, path_to: PathTo
) -> None:
    app = await make_app("web")
    for path in (list_path(app), path_to(app, "web"), list_path(app) + "&page=0"):
        reply = await api.as_user(users.nobody).get(path)
        assert_cf_error(reply, 403, 10003, "CF-NotAuthorized", "You are not authorized to perform the requested action")


@pytest.mark.parametrize(("verb", "listed", "got"), [("list", 200, 404), ("get", 404, 200), ("watch", 404, 404)])
async def test_each_verb_gives_what_it_says_and_no_more(
    api: Api, kube: Kube, space: str, make_app: MakeApp, verb: str, listed: int, got: int
) -> None:
    app = await make_app("web")
    role = await kube.create_role({"apiGroups": ["apps"], "resources": ["deployments"], "verbs": [verb]})
    user = api.as_user(await kube.token_of_new_user(cluster_roles=("processes-api",), roles_in={space: role}))
    assert (await user.get(f"/v3/apps/{app}/processes")).status == listed
    assert len(await user.guids(f"/v3/processes?app_guids={app}")) == (listed == 200)
    assert (await user.get(f"/v3/apps/{app}/processes/web")).status == got
    assert (await user.get(f"/v3/processes/{guid_of(app, 'web')}")).status == got


async def test_no_token_is_not_authenticated(api: Api, list_path: ListPath, path_to: PathTo) -> None:
    for path in (list_path("any"), path_to("any", "web"), list_path("any") + "&page=0"):
        reply = await api.as_user(None).get(path)
        assert_cf_error(reply, 401, 10002, "CF-NotAuthenticated", "Authentication error")


async def test_bad_tokens_are_invalid(api: Api, operator_token: str, list_path: ListPath) -> None:
    header, payload, signature = operator_token.split(".")
    claims = orjson.loads(base64.urlsafe_b64decode(payload + "=="))
    expired = base64.urlsafe_b64encode(orjson.dumps({**claims, "exp": 1})).rstrip(b"=").decode()
    foreign = base64.urlsafe_b64encode(orjson.dumps({**claims, "iss": "https://elsewhere"})).rstrip(b"=").decode()
    for authorization in (
        "Bearer garbage",
        "Bearer ",
        "Bearer",
        f"Bearer {header}.{payload}.{signature[::-1]}",
        f"Bearer {header}.{expired}.{signature}",
        f"Bearer {header}.{foreign}.{signature}",
        f"Bearer {operator_token} {operator_token}",
        "Basic dXNlcjpwYXNzd29yZA==",
        "Bearer " + "a" * 20_000,
        "Bearer caf\xe9",
    ):
        reply = await api.as_user(None).get(list_path("any"), headers={"Authorization": authorization})
        assert_cf_error(reply, 401, 1000, "CF-InvalidAuthToken", "Invalid Auth Token")


async def test_deleted_users_token_stops_working(api: Api, kube: Kube) -> None:
    token = await kube.token_of_new_user(cluster_roles=("processes-operator",))
    user = api.as_user(token)
    assert (await user.get("/v3/processes")).status == 200
    await kube.delete_user_of(token)

    async def refused() -> bool:
        return (await user.get("/v3/processes")).status == 401

    await eventually(refused, 30)


async def test_token_for_another_audience_is_no_token_here(api: Api, kube: Kube) -> None:
    own = await kube.token_of_new_user(cluster_roles=("processes-operator",))
    assert (await api.as_user(own).get("/v3/processes")).status == 200
    reply = await api.as_user(await kube.another_token(own, audience="vault")).get("/v3/processes")
    assert_cf_error(reply, 401, 1000, "CF-InvalidAuthToken", "Invalid Auth Token")


async def test_token_that_another_cluster_has_signed_is_no_token_here(api: Api, operator_token: str) -> None:
    """Clusters give their issuers and accounts the same names: only the key tells them apart."""
    signed, _, own = operator_token.rpartition(".")
    key = await asyncio.to_thread(rsa.generate_private_key, 65537, 2048)
    signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    foreign = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
    assert len(foreign) == len(own)
    reply = await api.as_user(f"{signed}.{foreign}").get("/v3/processes")
    assert_cf_error(reply, 401, 1000, "CF-InvalidAuthToken", "Invalid Auth Token")


async def test_rights_taken_away_in_the_middle_of_a_walk_hide_what_is_left_of_it(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    other = await kube.create_namespace()
    apps = [await make_app("web", namespace=namespace) for namespace in (space, other, space)]
    token = await kube.token_of_new_user(
        cluster_roles=("processes-api",), roles_in={space: "processes-reader", other: "processes-reader"}
    )
    viewer = api.as_user(token)
    path = f"/v3/processes?per_page=1&app_guids={','.join(apps)}"
    first = (await viewer.get(path)).json["pagination"]
    assert first["total_results"] == len(apps)
    (binding,) = [
        each["metadata"]["name"]
        for each in (await kube.request("GET", f"{RBAC}/namespaces/{other}/rolebindings"))["items"]
    ]
    await kube.request("DELETE", f"{RBAC}/namespaces/{other}/rolebindings/{binding}")

    async def walked_on() -> bool:
        second = (await viewer.get(first["next"]["href"])).json
        assert second["resources"][0]["relationships"]["app"]["data"]["guid"] in apps
        return bool(second["pagination"]["total_results"] == len(apps) - 1)

    await eventually(walked_on, 5)
    left = await viewer.all_guids(path)
    assert set(left) == {guid_of(app, "web") for app in (apps[0], apps[2])}
    await kube.delete_namespace(other)


async def test_client_certificate_is_refused_with_advice(api: Api) -> None:
    reply = await api.as_user(None).get("/v3/processes", headers={"Authorization": "ClientCert LS0tLS1CRUdJTg=="})
    detail = assert_cf_error(reply, 401, 1000, "CF-InvalidAuthToken")
    assert "token" in detail
    assert "LS0t" not in detail


async def test_permission_given_and_taken_shows_within_the_time_answers_are_kept(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web")
    token = await kube.token_of_new_user(cluster_roles=("processes-api",))
    user = api.as_user(token)
    assert (await user.get(f"/v3/apps/{app}/processes")).status == 404
    claims = orjson.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    name = claims["kubernetes.io"]["serviceaccount"]["name"]
    bindings = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space}/rolebindings"
    await kube.request(
        "POST",
        bindings,
        {
            "metadata": {"name": "late"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "processes-reader"},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}],
        },
    )

    async def sees() -> bool:
        return await user.guids("/v3/processes") == [guid_of(app, "web")]

    await eventually(sees)
    await kube.request("DELETE", f"{bindings}/late")

    async def blind() -> bool:
        return (await user.get(f"/v3/processes/{guid_of(app, 'web')}")).status == 404

    await eventually(blind)


async def test_reads_ask_kube_apiserver_nothing_once_the_caller_is_known(
    settings: Settings, operator_token: str
) -> None:
    async with running(replace(settings, review_ttl_s=600), token=operator_token) as served:
        await served.get("/v3/processes")
        await start_over()
        before = (await scrape(served)).asked()
        assert before >= 3
        for _ in range(50):
            assert (await served.get("/v3/processes")).status == 200
        assert (await scrape(served)).asked() == before


async def test_callers_of_the_moment_share_one_review(settings: Settings, kube: Kube) -> None:
    async with running(replace(settings, review_ttl_s=600), token=None) as served:
        before = await kube.requests_counted()
        newcomer = served.as_user(await kube.token_of_new_user(cluster_roles=("processes-operator",)))
        replies = await asyncio.gather(*(newcomer.get("/v3/processes?per_page=1") for _ in range(100)))
        assert {reply.status for reply in replies} == {200}
        after = await kube.requests_counted()
        assert after["tokenreviews"] - before["tokenreviews"] == 1
        # May use the API; may list in all namespaces.
        assert after["subjectaccessreviews"] - before["subjectaccessreviews"] == 2


async def test_without_authentication_everything_is_readable(settings: Settings) -> None:
    async with running(replace(settings, authentication="none")) as served:
        assert (await served.get("/v3/processes")).status == 200


async def service_may(kube: Kube, **attributes: str) -> bool:
    """Whether the service's own account may do this."""
    spec = {
        "user": "system:serviceaccount:processes:processes",
        "groups": ["system:serviceaccounts", "system:authenticated"],
        "resourceAttributes": attributes,
    }
    answer = await kube.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
    return bool(answer["status"]["allowed"])


async def test_service_account_can_change_nothing(kube: Kube, space: str) -> None:
    assert await service_may(kube, group="apps", resource="deployments", verb="list", namespace=space)
    for verb in ("create", "update", "patch", "delete", "deletecollection"):
        for group, resource in (("apps", "deployments"), ("apps", "deployments/scale"), ("", "pods"), ("", "secrets")):
            name, _, subresource = resource.partition("/")
            assert not await service_may(
                kube, group=group, resource=name, subresource=subresource, verb=verb, namespace=space
            ), (verb, resource)


@pytest.mark.parametrize(
    ("verb", "group", "resource", "subresource"),
    [
        ("get", "", "secrets", ""),
        ("list", "", "secrets", ""),
        ("get", "", "configmaps", ""),
        ("get", "", "pods", "log"),
        ("create", "", "pods", "exec"),
        ("get", "", "nodes", "proxy"),
        ("create", "", "serviceaccounts", "token"),
        ("impersonate", "", "users", ""),
        ("impersonate", "", "groups", ""),
        ("impersonate", "", "serviceaccounts", ""),
        ("bind", "rbac.authorization.k8s.io", "clusterroles", ""),
        ("escalate", "rbac.authorization.k8s.io", "clusterroles", ""),
        ("create", "rbac.authorization.k8s.io", "clusterrolebindings", ""),
        ("approve", "certificates.k8s.io", "signers", ""),
    ],
)
async def test_service_account_becomes_nobody_else(
    kube: Kube, verb: str, group: str, resource: str, subresource: str
) -> None:
    assert not await service_may(kube, verb=verb, group=group, resource=resource, subresource=subresource)
