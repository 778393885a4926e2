"""`python -m service check`: can this configuration work? Each part is asked, and bad answers come with advice.

A part that is away does not keep the others from being asked. Nothing is changed anywhere, and each question has a
time limit.
"""

import time
from collections.abc import Callable

from service.check.cluster import check_cluster
from service.check.database import check_database
from service.check.report import FEW, Clock, Finding, Level, Outcome, Report
from service.settings import Settings
from service.telemetry import get_logger

__all__ = ["FEW", "Finding", "Level", "Outcome", "check"]

log = get_logger(__name__)


async def check(settings: Settings, on_finding: Callable[[Finding], None], wall_clock: Clock = time.time) -> Outcome:
    """Call `on_finding` with each finding as it is made, and return what they come to.

    When this returns, nothing is left open or running.
    """
    report = Report(on_finding)
    report.ok("settings", "each of them is valid")
    for subject, check_part in (("cluster", check_cluster), ("database", check_database)):
        try:
            await check_part(settings, report, wall_clock)
        except Exception as error:
            # A defect of ours in one half must not keep the other from being looked at.
            log.exception("check failed", subject=subject)
            text = f"could not be looked at further: {type(error).__name__} in the service"
            report.miss(subject, text, "this is a defect of the service: report it, with what it has logged")
    return report.outcome
