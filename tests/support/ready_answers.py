"""Answers that are ready to be sent again, asked for."""

from collections.abc import Mapping

from service.http.ready_answers import READY_ANSWERS, ReadyAnswers
from tests.support.api import Api, Reply
from tests.support.kube import eventually

LASTING_S = 600.0
"""Of reviews: what kube-apiserver has said is not what ends an answer here."""


def ready(api: Api) -> ReadyAnswers:
    return api.application[READY_ANSWERS]


async def again(api: Api, path: str, headers: Mapping[str, str] | None = None) -> Reply:
    """An answer that was ready. Controllers that still change what is shown may end one or the other before."""

    async def sent_again() -> Reply | None:
        before = ready(api).sent
        reply = await api.get(path, headers=headers)
        return reply if ready(api).sent == before + 1 else None

    reply: Reply = await eventually(sent_again)
    return reply


def told(reply: Reply) -> tuple[int, dict[str, str], bytes]:
    """All that a caller is told, but what is another each time."""
    shown = {name: value for name, value in reply.headers.items() if name not in ("X-Vcap-Request-Id", "Date")}
    return reply.status, shown, reply.body
