"""Checks of the cluster: can it be reached, who are we to it, and what may we do there?"""

import asyncio

from service.check.labels import check_labels
from service.check.report import Clock, Outcome, Report
from service.cluster import inspection
from service.cluster.autoscaler_feed import AUTOSCALERS
from service.cluster.client import Client
from service.cluster.configuration import NoCluster
from service.cluster.inspection import Unanswered
from service.cluster.permissions import OPTIONAL, PERMISSIONS, AccountPermission, Need
from service.cluster.route_feeds import ROUTE_KINDS
from service.settings import Settings

CREDENTIALS_S = 30.0
"""Time for the command that a kubeconfig may name to fetch credentials."""
COMPARABLE_SINCE = (1, 35)
"""The release of Kubernetes from which on resourceVersions are promised to be comparable."""

_AWAY_ADVICE = "is that the right server, does it run, and can it be reached from here?"
_CREDENTIALS_ADVICE = "give KUBECONFIG a token or certificate of this cluster that has not expired"
_COMPARABLE_ADVICE = (
    "upgrade, or run one replica: resourceVersions are promised to be comparable from 1.35 on only, and without that a "
    "replica cannot be sure that it has seen what another one has just written"
)


class CredentialsLate(NoCluster):
    """The command that a kubeconfig names for credentials takes too long."""


async def connect(settings: Settings) -> Client:
    """A client of the cluster that the settings name. Raises NoCluster, CredentialsLate."""
    try:
        async with asyncio.timeout(CREDENTIALS_S):
            return await Client.connect(settings.kubeconfig, settings.kube_context, timeout_s=settings.kube_timeout_s)
    except TimeoutError as error:
        text = f"KUBECONFIG: its command for credentials is not done after {CREDENTIALS_S:.0f} s"
        raise CredentialsLate(text) from error


async def check_cluster(settings: Settings, report: Report, wall_clock: Clock) -> None:
    """Report on the cluster that the settings name. Questions that need an answer to an earlier one are left out."""
    try:
        client = await connect(settings)
    except CredentialsLate as error:
        report.miss("cluster", str(error), "run that command by hand: it may be waiting for an answer")
        return
    except NoCluster as error:
        advice = "name a kubeconfig in KUBECONFIG, and its context in KUBE_CONTEXT, or run in a Pod"
        report.miss("cluster", str(error), advice, Outcome.WRONG_SETTINGS)
        return
    try:
        if await _check_server(client, settings, report, wall_clock):
            await _check_permissions(client, settings, report)
            await _check_metrics(client, report)
            await _check_kinds(client, report)
            await check_labels(client, settings.keys, report)
    finally:
        await client.close()


async def _check_server(client: Client, settings: Settings, report: Report, wall_clock: Clock) -> bool:
    """Report on the server's version and clock; whether it answers in a way that makes further questions useful."""
    try:
        server = await inspection.server(client, settings.kube_timeout_s, wall_clock)
    except Unanswered as error:
        if error.status == 403:
            text = f"{client.address} answers, but does not tell its version: {error}"
            report.warn("cluster", text, "bind ClusterRole system:public-info-viewer to the group system:authenticated")
            return True
        text, advice = f"{client.address} does not answer as Kubernetes does: {error}", _AWAY_ADVICE
        if error.status == 401:
            text, advice = f"{client.address} does not accept our credentials: {error}", _CREDENTIALS_ADVICE
        report.miss("cluster", f"{text}; nothing else was asked of it", advice)
        return False
    text = f"{client.address} answers: Kubernetes {server.version}"
    if server.release >= COMPARABLE_SINCE:
        report.ok("cluster", text)
    else:
        report.warn("cluster", f"{text}, of before 1.35", _COMPARABLE_ADVICE)
    if server.ahead_s is not None:
        report.clock("kube-apiserver", server.ahead_s)
    return True


async def _check_permissions(client: Client, settings: Settings, report: Report) -> None:
    try:
        who = await inspection.account(client)
        report.ok("account", f"the cluster knows us as {who}")
    except Unanswered as error:
        who = "the service's account"
        report.warn("account", f"the cluster does not say who we are: {error}", _review_advice(error))
    asked = [p for p in PERMISSIONS if p.need is not Need.REVIEWS or settings.authentication == "kubernetes"]
    answers = await asyncio.gather(*(_may(client, permission) for permission in asked))
    for permission, answer in zip(asked, answers, strict=True):
        _report_permission(report, permission, answer, who)


async def _may(client: Client, permission: AccountPermission) -> bool | Unanswered:
    try:
        return await inspection.may(client, permission)
    except Unanswered as error:
        return error


def _report_permission(report: Report, permission: AccountPermission, answer: bool | Unanswered, who: str) -> None:
    unwanted = permission.need is Need.NEVER
    bad = report.warn if permission.need is Need.NEVER or permission.need in OPTIONAL else report.miss
    if isinstance(answer, Unanswered):
        bad("permission", f"whether we may {permission} is not known: {answer}", _review_advice(answer))
    elif answer and unwanted:
        advice = f"take it from {who}: ClusterRole processes of deploy/base/rbac.yaml is all it needs"
        bad("permission", f"may {permission}, and should not: {permission.reason}", advice)
    elif answer or unwanted:
        report.ok("permission", f"may {permission}" if answer else f"may not {permission}, nor should it")
    else:
        advice = f"bind ClusterRole processes of deploy/base/rbac.yaml to {who}"
        bad("permission", f"may not {permission}: {permission.reason}", advice)


def _review_advice(error: Unanswered) -> str:
    """What to do about a review of ourselves that failed. Every account may make them, unless that was taken away."""
    if error.status is None:
        return _AWAY_ADVICE
    return "bind ClusterRole system:basic-user to the group system:authenticated"


async def _check_metrics(client: Client, report: Report) -> None:
    try:
        await inspection.require_metrics(client)
        report.ok("metrics", "metrics.k8s.io is served")
    except Unanswered as error:
        advice = "install metrics-server, or do without: instances are then shown without their usage"
        reason = "" if error.status == 404 else f" now: {error}"
        report.warn("metrics", f"metrics.k8s.io is not served{reason}", advice)


async def _check_kinds(client: Client, report: Report) -> None:
    """Say which optional kinds are served. What may not be listed is left to the permissions."""
    for topic, kind in (*(("routes", kind) for kind in ROUTE_KINDS), ("scaling", AUTOSCALERS)):
        try:
            await inspection.require_kind(client, kind)
            report.ok(topic, f"{kind.name} are served")
        except Unanswered as error:
            if error.status == 404:
                advice = "install what serves them (for httproutes the Gateway API), or do without"
                report.warn(topic, f"{kind.name} are not served: {kind.gives} are left out", advice)
            elif error.status != 403:
                report.warn(topic, f"whether {kind.name} are served is not known: {error}", _AWAY_ADVICE)
