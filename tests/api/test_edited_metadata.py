"""A process whose row somebody has edited in Postgres: it is served without it, said to be, and in nobody's way."""

from urllib.parse import unquote_plus

from service.settings import Settings
from service.store.database import connected
from tests.support.api import Api, assert_cf_error, running
from tests.support.apps import MakeApp, PathTo, Users
from tests.support.edits import allow_everything
from tests.support.kube import eventually
from tests.support.metrics import scrape
from tests.support.visitor import browsing


async def test_a_process_with_an_edited_row(
    api: Api, settings: Settings, make_app: MakeApp, users: Users, space: str, path_to: PathTo
) -> None:
    app, other = await make_app("web"), await make_app("web")
    path = path_to(app, "web")
    metadata = {"metadata": {"labels": {"kept": "yes"}}}
    assert (await api.patch(path, metadata)).status == 200
    async with connected(settings.database_url, 5) as connection:
        await allow_everything(connection)
        await connection.execute(
            "UPDATE process_metadata SET labels = $2, stamp = (SELECT value FROM metadata_counter) WHERE app_guid = $1",
            app,
            ["a list"],
        )
        # A replica that starts now becomes ready, and says the same as one that has known the row.
        async with running(settings, token=users.operator) as started:
            viewer = started.as_user(users.viewer)
            report = (await started.manage("/readyz")).json
            assert report["metadata"]["connected"] is True
            assert report["metadata"]["unreadable_rows"] == 1
            assert list(report["metadata"]["unreadable"]) == [f"{space}/{app}/web"]
            assert (await scrape(started)).value("cf_processes_metadata_unreadable") == 1
            reply = await viewer.get(path)
            assert (reply.status, reply.json["metadata"]) == (200, {"labels": {}, "annotations": {}})
            assert "metadata stored of this process cannot be understood" in unquote_plus(
                reply.headers["X-Cf-Warnings"]
            )
            await _has_a_problem(viewer, app, started.as_user(users.stranger))
            # What is Kubernetes' alone can be changed.
            assert (await started.post(f"{path}/actions/scale", {"instances": 1})).json["instances"] == 1

            async def is_running() -> bool:
                return bool((await started.get(f"{path}/stats")).json["resources"][0]["state"] == "RUNNING")

            await eventually(is_running)
            for change in (metadata, {**metadata, "command": "exec new"}):
                detail = assert_cf_error(await started.patch(path, change), 422, 10008, "CF-UnprocessableEntity")
                assert detail.startswith("The metadata that is stored of this process cannot be understood")
            assert (await started.get(path)).json["command"] == ""
            # Others go on as if nothing had been.
            changed = await api.patch(f"/v3/apps/{other}/processes/web", metadata)
            assert changed.status == 200
            seen = await viewer.get(f"/v3/apps/{other}/processes/web")
            assert (seen.json["metadata"], "X-Cf-Warnings" in seen.headers) == (changed.json["metadata"], False)
        await connection.execute("UPDATE process_metadata SET labels = '{}' WHERE app_guid = $1", app)
    assert (await api.patch(path, metadata)).json["metadata"]["labels"] == {"kept": "yes"}
    assert "X-Cf-Warnings" not in (await api.get(path)).headers


async def _has_a_problem(viewer: Api, app: str, stranger: Api) -> None:
    """Shown to who may see the process, and to nobody else."""
    for user, is_seen in ((viewer, True), (stranger, False)):
        async with browsing(user) as visitor:
            page = (await visitor.get("/ui/problems")).body.decode()
            assert (app in page) is is_seen
