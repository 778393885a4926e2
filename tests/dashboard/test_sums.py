"""`/ui/apps` and `/ui/spaces`: sums of the processes that match, over HTTP and without a browser."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from tests.support.api import Api
from tests.support.apps import MakeApp
from tests.support.kube import Kube, guid_of
from tests.support.visitor import Visitor


@pytest.fixture
async def visitor(api: Api, operator_token: str) -> AsyncIterator[Visitor]:
    visitor = Visitor(api)
    await visitor.sign_in(operator_token)
    yield visitor
    await visitor.session.close()


@pytest.mark.parametrize(
    "query",
    ["types=web", "app_guids={app}", "guids={guid}", "label_selector=tier%3D%3D{tier}", "space_guids={space}"],
)
async def test_every_filter_counts_only_what_matches(
    visitor: Visitor, api: Api, kube: Kube, make_app: MakeApp, query: str
) -> None:
    elsewhere, tier = await kube.create_namespace(), f"t{uuid4().hex[:8]}"
    shown, other = await make_app("web", namespace=elsewhere), await make_app("worker")
    guid = guid_of(shown, "web")
    assert (await api.patch(f"/v3/processes/{guid}", {"metadata": {"labels": {"tier": tier}}})).status == 200
    matching = query.format(app=shown, guid=guid, tier=tier, space=elsewhere)
    for page in ("/ui/apps", "/ui/spaces"):
        reply = await visitor.get(f"{page}?{matching}&per_page=5000")
        assert reply.status == 200
        assert (shown if page == "/ui/apps" else elsewhere).encode() in reply.body
        if page == "/ui/apps":
            assert other.encode() not in reply.body
    await kube.delete_namespace(elsewhere)


@pytest.mark.parametrize("page", ["/ui/apps", "/ui/spaces"])
@pytest.mark.parametrize("query", ["order_by=created_at", "embed=process_instances", "colour=red"])
async def test_what_sums_cannot_do_is_refused(visitor: Visitor, page: str, query: str) -> None:
    reply = await visitor.get(f"{page}?{query}")
    assert reply.status == 400
    assert query.partition("=")[0].encode() in reply.body
