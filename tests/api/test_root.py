"""GET /v3 and GET /v3/info: what the API says of itself, to everyone."""

from dataclasses import replace

from service.api.routes import READABLE
from service.settings import Settings
from tests.support.api import Api, running


async def test_every_list_is_linked_and_every_link_leads_to_a_list(api: Api) -> None:
    reply = await api.as_user(None).get("/v3")
    assert reply.status == 200
    links = reply.json["links"]
    assert links.pop("self") == {"href": f"{api.url}/v3"}
    assert {plural for plural, each in READABLE.items() if each.listed} <= links.keys()
    for name, link in links.items():
        assert link == {"href": f"{api.url}/v3/{name}"}
        listed = await api.get(link["href"])
        assert (listed.status, "resources" in listed.json) == (200, True), name


async def test_what_is_not_served_is_not_linked(settings: Settings, operator_token: str) -> None:
    async with running(replace(settings, served="processes"), token=operator_token) as served:
        assert (await served.get("/v3")).json["links"].keys() == {"self", "processes"}


async def test_the_platform_describes_itself(api: Api) -> None:
    reply = await api.as_user(None).get("/v3/info")
    info = reply.json
    assert list(info) == ["build", "cli_version", "custom", "description", "name", "version", "links"]
    assert info["cli_version"].keys() == {"minimum", "recommended"}
    for link in info["links"].values():
        assert (await api.as_user(None).get(link["href"])).status == 200
