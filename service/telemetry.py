"""Structured logs and the id of the request they belong to."""

import logging
import random
import re
import sys
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import structlog

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that is being answered; every log line written meanwhile has it."""

_FOREIGN = re.compile(r"[^A-Za-z0-9_-]")
_MAXIMUM_FOREIGN = 255
# A uuid of version 4 and variant 10, as random ones are.
_UUID_MASK = ~((0xF << 76) | (0b11 << 62))
_UUID_BITS = (0x4 << 76) | (0b10 << 62)


def new_request_id(given: str | None) -> str:
    """A new uuid. Where the caller gave an id, that comes before it, without what could do harm in a log, and `::`."""
    # Not uuid4(): an id has to be new, not secret, and the system's randomness is a large part of a small request.
    digits = f"{random.getrandbits(128) & _UUID_MASK | _UUID_BITS:032x}"
    own = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    kept = _FOREIGN.sub("", given)[:_MAXIMUM_FOREIGN] if given else ""
    return f"{kept}::{own}" if kept else own


def _add_request_id(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if current := request_id.get():
        event["request_id"] = current
    return event


def configure_logging(level: str) -> None:
    """One JSON object a line on standard error, from our own loggers and from the libraries' alike."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_request_id,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(number, logging.INFO))
    # NB: at DEBUG kubernetes_asyncio prints response bodies, so it never gets below INFO, whatever the level asked for.
    logging.getLogger("kubernetes_asyncio").setLevel(max(number, logging.INFO))


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of one module; its name is in each line."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(module=name)
    return logger


def outline(error: BaseException | None) -> dict[str, Any]:
    """What failed and where, for the log of a request: the kinds of its errors, and the lines they came through.

    Without their texts, which quote what they could not read: and that may be a token, or somebody's password.
    """
    found = list(_with_causes(error)) if error is not None else []
    return {
        "error": " < ".join(type(each).__qualname__ for each in found),
        "where": [
            f"{frame.f_code.co_filename}:{line} {frame.f_code.co_qualname}"
            for each in found
            for frame, line in traceback.walk_tb(each.__traceback__)
        ],
    }


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """An error, those it is a group of, and what it came from."""
    yield error
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _with_causes(each)
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _with_causes(before)
