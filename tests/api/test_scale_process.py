"""POST …/actions/scale, at both addresses."""

from tests.api.conftest import MakeApp, PathTo
from tests.support.api import Api


async def test_smoke(api: Api, make_app: MakeApp, path_to: PathTo) -> None:
    app = await make_app("web", ports=[{"containerPort": 8080}])
    path = path_to(app, "web")
    reply = await api.post(f"{path}/actions/scale", {"instances": 2, "memory_in_mb": 64})
    print(reply.status, reply.json)
    reply = await api.get(f"{path}/stats")
    print(reply.status, reply.json, reply.headers)
    reply = await api.patch(
        path,
        {
            "metadata": {"labels": {"a": "b"}},
            "command": "sleep 5",
            "user": "vcap",
            "health_check": {"type": "http", "data": {"endpoint": "/x", "timeout": 61, "interval": None}},
        },
    )
    print(reply.status, reply.json)
    print((await api.get(path)).json)
    import asyncio

    await asyncio.sleep(3)
    print((await api.get(f"{path}?embed=process_instances")).json)
    print((await api.get(f"{path}/stats")).json)
    reply = await api.delete(f"{path}/instances/1")
    print(reply.status, reply.body)
    print((await api.get(f"{path}/stats")).json)
    print((await api.get(f"/v3/apps/{app}/processes?embed=process_instances")).json)
    assert 0
