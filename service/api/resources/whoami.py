"""GET /whoami: who a caller is to Kubernetes. The cf CLI asks before nearly every command."""

import orjson
from aiohttp import hdrs, web

from service.api.jsonschema import TEXT, obj
from service.api.operation import Documented, Operation
from service.api.queries import SingleQuery
from service.api.requests import raw_query
from service.errors import BadQueryParameter
from service.freshness import Freshness
from service.http.callers import authenticate
from service.http.replies import answer

QUERY = SingleQuery("WhoamiQuery")
_SERVICE_ACCOUNT = "system:serviceaccount:"
"""What the names of ServiceAccounts begin with, in Kubernetes, and of nobody else."""


async def get_whoami(request: web.Request) -> web.Response:
    """GET /whoami"""
    # Also for those who may not use the API: that is how they find out whose token they show.
    caller = await authenticate(request, request.headers.get(hdrs.AUTHORIZATION), anyone=True)
    QUERY.parse(raw_query(request))
    return await answer(request, orjson.dumps(present(caller.name)), Freshness())


def present(name: str) -> dict[str, str]:
    """Whoever has this name in Kubernetes."""
    return {"name": name, "kind": "ServiceAccount" if name.startswith(_SERVICE_ACCOUNT) else "User"}


RESOURCE = Documented(
    operations=(
        Operation(
            "GET",
            "/whoami",
            get_whoami,
            id="getWhoami",
            summary="Find out whose token is shown",
            tag="root",
            answer="Identity",
            query=QUERY.schema,
            errors=(BadQueryParameter,),
            permission=False,
        ),
    ),
    schemas={
        "Identity": obj(
            {"name": {**TEXT, "description": "As Kubernetes has it."}, "kind": {"enum": ["User", "ServiceAccount"]}}
        )
    },
    answers={"Identity": present("system:serviceaccount:storefront:deployer")},
)
