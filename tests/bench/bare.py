"""The least an aiohttp server can do: `python -m tests.bench.bare FILE…` answers /0, /1, … with the files' bytes.

Prints its address and serves until it is ended.
"""

import asyncio
import sys
from pathlib import Path

import uvloop
from aiohttp import web

from service.http.replies import CONTENT_TYPE


async def _serve(bodies: list[bytes]) -> None:
    async def answer(request: web.Request) -> web.Response:
        body = bodies[int(request.match_info["number"])]
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/{number}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve([Path(name).read_bytes() for name in sys.argv[1:]]))
