"""What the service has logged in the test's own process."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
import structlog

from service import telemetry


@dataclass
class Logged:
    text: str = ""
    """All of it, once the block has ended."""
    audits: list[dict[str, Any]] = field(default_factory=list)
    """The lines of the audit log."""


@contextmanager
def logged(capfd: pytest.CaptureFixture[str]) -> Iterator[Logged]:
    """Log as in production while the block lasts."""
    capfd.readouterr()
    telemetry.configure_logging("info")
    found = Logged()
    try:
        yield found
    finally:
        out, err = capfd.readouterr()
        structlog.reset_defaults()
        logging.getLogger().handlers.clear()
        found.text = out + err
        found.audits = [orjson.loads(line) for line in found.text.splitlines() if '"audit"' in line]
