"""GET /v3/processes/{guid} and GET /v3/apps/{guid}/processes/{type}."""

from collections.abc import Callable
from uuid import uuid4

from service.model.guids import process_guid
from service.model.process import Metadata
from service.model.times import SECOND
from service.settings import Settings
from service.store.database import connected
from service.store.records import load
from tests.support.api import Api, assert_cf_error
from tests.support.apps import MakeApp
from tests.support.kube import Kube, deployment, eventually

PathTo = Callable[[str, str], str]


async def test_shows_every_field_of_a_real_deployment(
    api: Api, kube: Kube, space: str, settings: Settings, path_to: PathTo
) -> None:
    app, guid, revision, credential = (str(uuid4()) for _ in range(4))
    deployment("full", space, app)
    if "/apps/" not in path_to(app, "web"):
        guid = process_guid(space, app, "web")
    await kube.create(
        deployment(
            "full",
            space,
            app,
            labels={"cloudfoundry.org/process-guid": guid},
            annotations={"cloudfoundry.org/revision-guid": revision},
            replicas=3,
            command=["/bin/sh", "-c", "exec server --port $PORT"],
            securityContext={"runAsUser": 2000},
            ports=[{"containerPort": 8080}],
            resources={"limits": {"memory": "100M", "ephemeral-storage": "1Gi"}},
            startupProbe={
                "httpGet": {"path": "/up", "port": 8080},
                "periodSeconds": 2,
                "failureThreshold": 30,
                "timeoutSeconds": 4,
            },
            livenessProbe={"httpGet": {"path": "/up", "port": 8080}, "periodSeconds": 30, "timeoutSeconds": 5},
            readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 7},
        )
    )
    async with connected(settings.database_url, 5) as connection:
        row = Metadata(
            namespace=space,
            app_guid=app,
            type="web",
            labels={"team": "a"},
            annotations={"contact": "x@example.test"},
            log_rate_limit_in_bytes_per_second=1024,
            registry_credential_guid=credential,
            registry_credential_last_synced_at=1_700_000_000 * SECOND,
        )
        await load(connection, [row])

    async def rolled_out() -> bool:
        reply = await api.get(path_to(app, "web"))
        return reply.status == 200 and reply.json["version"] == "1"

    await eventually(rolled_out)
    process = (await api.get(path_to(app, "web"))).json
    created_at, updated_at = process.pop("created_at"), process.pop("updated_at")
    assert created_at <= updated_at
    href = f"{api.url}/v3/processes/{guid}"
    assert process == {
        "guid": guid,
        "version": "1",
        "type": "web",
        "command": "exec server --port $PORT",
        "user": "2000",
        "instances": 3,
        "memory_in_mb": 96,
        "disk_in_mb": 1024,
        "log_rate_limit_in_bytes_per_second": 1024,
        "registry_credential_last_synced_at": "2023-11-14T22:13:20Z",
        "health_check": {
            "type": "http",
            "data": {"timeout": 60, "invocation_timeout": 5, "interval": 30, "endpoint": "/up"},
        },
        "readiness_health_check": {
            "type": "port",
            "data": {"timeout": None, "invocation_timeout": 1, "interval": 7, "endpoint": None},
        },
        "relationships": {
            "app": {"data": {"guid": app}},
            "revision": {"data": {"guid": revision}},
            "registry_credential": {"data": {"guid": credential}},
        },
        "metadata": {"labels": {"team": "a"}, "annotations": {"contact": "x@example.test"}},
        "links": {
            "self": {"href": href, "method": "GET"},
            "scale": {"href": f"{href}/actions/scale", "method": "POST"},
            "app": {"href": f"{api.url}/v3/apps/{app}", "method": "GET"},
            "space": {"href": f"{api.url}/v3/spaces/{space}", "method": "GET"},
            "stats": {"href": f"{href}/stats", "method": "GET"},
            "process_instances": {"href": f"{href}/process_instances", "method": "GET"},
            "registry_credential": {"href": f"{api.url}/v3/registry_credentials/{credential}", "method": "GET"},
        },
    }


async def test_ignores_no_query_parameter_silently_changing_the_answer(
    api: Api, make_app: MakeApp, path_to: PathTo
) -> None:
    path = path_to(await make_app("web"), "web")
    plain, asked = await api.get(path), await api.get(path + "?pretty=true")
    assert plain.status == 200
    assert_cf_error(asked, 400, 10005, "CF-BadQueryParameter")


async def test_etag_answers_not_modified(api: Api, make_app: MakeApp, path_to: PathTo) -> None:
    path = path_to(await make_app("web"), "web")

    async def unchanged() -> bool:
        etag = (await api.get(path)).headers["ETag"]
        return (await api.get(path, headers={"If-None-Match": etag})).status == 304

    await eventually(unchanged)


async def test_numbers_are_integers_of_32_bits_whatever_the_deployment_says(
    api: Api, make_app: MakeApp, path_to: PathTo
) -> None:
    largest = 2**31 - 1
    probe = {"tcpSocket": {"port": 80}, "periodSeconds": largest}
    enormous = await make_app(
        "web",
        resources={"limits": {"memory": "8Ei", "ephemeral-storage": "4Pi"}},
        startupProbe={**probe, "failureThreshold": largest},
        readinessProbe=probe,
    )
    for app in (enormous, await make_app("web")):
        process = (await api.get(path_to(app, "web"))).json
        for name in ("instances", "memory_in_mb", "disk_in_mb"):
            assert type(process[name]) is int
            assert 0 <= process[name] <= largest
        for check in ("health_check", "readiness_health_check"):
            assert all(value <= largest for value in _numbers(process[check]["data"]))
        for name in ("memory_in_mb", "disk_in_mb"):
            assert (await api.post(f"{path_to(app, 'web')}/actions/scale", {name: process[name]})).status == 202


def _numbers(data: dict[str, int | str | None]) -> list[int]:
    return [value for value in data.values() if isinstance(value, int)]


async def test_unknown_process_is_not_found(api: Api) -> None:
    reply = await api.get(f"/v3/processes/{uuid4()}")
    assert_cf_error(reply, 404, 10010, "CF-ResourceNotFound", "Process not found")


async def test_app_without_that_type_has_no_such_process(api: Api, make_app: MakeApp) -> None:
    reply = await api.get(f"/v3/apps/{await make_app('web')}/processes/worker")
    assert_cf_error(reply, 404, 10010, "CF-ResourceNotFound", "Process not found")


async def test_unknown_app_is_not_found(api: Api) -> None:
    reply = await api.get(f"/v3/apps/{uuid4()}/processes/web")
    assert_cf_error(reply, 404, 10010, "CF-ResourceNotFound", "App not found")


async def test_follows_scaling_and_deletion(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web")
    path = path_to(app, "web")
    await kube.patch(space, f"web-{app}", {"spec": {"replicas": 5}})

    async def scaled() -> bool:
        return bool((await api.get(path)).json["instances"] == 5)

    await eventually(scaled)
    await kube.delete(space, f"web-{app}")

    async def gone() -> bool:
        return (await api.get(path)).status == 404

    await eventually(gone)
