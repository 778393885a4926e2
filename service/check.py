"""Whether a configuration can work: every part is asked, and every answer told, with what to do about a bad one.

A part that is away does not keep the others from being asked. Nothing is changed anywhere, and each question has a
time limit.
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum

from service.cluster import inspection as cluster
from service.cluster.client import Client, NoCluster
from service.cluster.inspection import Survey, Unanswered
from service.cluster.permissions import PERMISSIONS, AccountPermission, Need
from service.model.collection import Slice
from service.settings import Settings
from service.store import inspection as store
from service.store.database import Connection, DatabaseUnavailable, SchemaMismatch, connected, migrations
from service.telemetry import get_logger

log = get_logger(__name__)

CREDENTIALS_S = 30.0
"""For the command that a kubeconfig may name to fetch credentials."""
LISTING_S = 120.0
"""For one list of all there is."""
COMPARABLE_SINCE = (1, 35)
"""The release of Kubernetes from which on resourceVersions are promised to be comparable."""
MAXIMUM_SKEW_S = 2.0
FEW = 3
"""How many objects are named where many are meant."""

Clock = Callable[[], float]
"""Seconds since the epoch."""


class Level(Enum):
    OK = "ok"
    WARNING = "warning"
    MISSING = "MISSING"


class Outcome(IntEnum):
    """What it comes to; the exit status of the process, as that of the other verbs."""

    WELL = 0
    """There may be warnings."""
    MISSING = 1
    WRONG_SETTINGS = 2


@dataclass(frozen=True)
class Finding:
    """One answer; `advice` is what to do about it, empty where all is well."""

    level: Level
    subject: str
    text: str
    advice: str = ""

    def __str__(self) -> str:
        """A line, and one more for the advice: plain ASCII, in columns."""
        lines = [f"{self.level.value:<7}  {self.subject:<10}  {_plain(self.text)}"]
        if self.advice:
            lines.append(f"{'':<19}  -> {_plain(self.advice)}")
        return "\n".join(lines)


class _Report:
    def __init__(self, tell: Callable[[Finding], None]) -> None:
        self._tell = tell
        self.outcome = Outcome.WELL

    def ok(self, subject: str, text: str) -> None:
        self._tell(Finding(Level.OK, subject, text))

    def warn(self, subject: str, text: str, advice: str) -> None:
        self._tell(Finding(Level.WARNING, subject, text, advice))

    def miss(self, subject: str, text: str, advice: str, outcome: Outcome = Outcome.MISSING) -> None:
        self.outcome = max(self.outcome, outcome)
        self._tell(Finding(Level.MISSING, subject, text, advice))

    def clock(self, whose: str, ahead_s: tuple[float, float]) -> None:
        """A clock that is ahead of ours by something between these seconds."""
        low, high = ahead_s
        skew = max(low, 0.0) + min(high, 0.0)
        if abs(skew) <= MAXIMUM_SKEW_S:
            self.ok("clock", f"{whose}'s and ours agree to within {max(abs(low), abs(high)):.1f} s")
            return
        self.warn(
            "clock",
            f"{whose}'s is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} ours",
            "set the clocks by NTP: tokens are refused early or late, and updated_at mixes times of all clocks",
        )


async def check(settings: Settings, tell: Callable[[Finding], None], wall_clock: Clock = time.time) -> Outcome:
    """Tells every finding as it is made; with the last one told, nothing is left open or running."""
    report = _Report(tell)
    report.ok("settings", "each of them is valid")
    for subject, look_at in (("cluster", _check_cluster), ("database", _check_database)):
        try:
            await look_at(settings, report, wall_clock)
        except Exception as error:
            # A defect of ours in one half must not keep the other from being looked at.
            log.exception("check failed", subject=subject)
            text = f"could not be looked at further: {type(error).__name__} in the service"
            report.miss(subject, text, "this is a defect of the service: report it, with what it has logged")
    return report.outcome


async def _check_cluster(settings: Settings, report: _Report, wall_clock: Clock) -> None:
    try:
        async with asyncio.timeout(CREDENTIALS_S):
            client = await Client.connect(settings.kubeconfig, settings.kube_context, timeout_s=settings.kube_timeout_s)
    except NoCluster as error:
        advice = "name a kubeconfig in KUBECONFIG, and its context in KUBE_CONTEXT, or run in a Pod"
        report.miss("cluster", str(error), advice, Outcome.WRONG_SETTINGS)
        return
    except TimeoutError:
        text = f"KUBECONFIG: its command for credentials is not done after {CREDENTIALS_S:.0f} s"
        report.miss("cluster", text, "run that command by hand: it may be waiting for an answer")
        return
    try:
        if await _check_server(client, settings, report, wall_clock):
            await _check_permissions(client, settings, report)
            await _check_metrics(client, report)
            await _check_labels(client, settings, report)
    finally:
        await client.close()


async def _check_server(client: Client, settings: Settings, report: _Report, wall_clock: Clock) -> bool:
    """Whether there is any use in asking more of it."""
    try:
        server = await cluster.server(client, settings.kube_timeout_s, wall_clock)
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


_AWAY_ADVICE = "is that the right server, does it run, and can it be reached from here?"
_CREDENTIALS_ADVICE = "give KUBECONFIG a token or certificate of this cluster that has not expired"
_COMPARABLE_ADVICE = (
    "upgrade, or run one replica: resourceVersions are promised to be comparable from 1.35 on only, and without that a "
    "replica cannot be sure that it has seen what another one has just written"
)


async def _check_permissions(client: Client, settings: Settings, report: _Report) -> None:
    try:
        who = await cluster.account(client)
        report.ok("account", f"the cluster knows us as {who}")
    except Unanswered as error:
        who = "the service's account"
        report.warn("account", f"the cluster does not say who we are: {error}", _review_advice(error))
    asked = [p for p in PERMISSIONS if p.need is not Need.REVIEWS or settings.authentication == "kubernetes"]
    answers = await asyncio.gather(*(_may(client, permission) for permission in asked))
    for permission, answer in zip(asked, answers, strict=True):
        _tell_permission(report, permission, answer, who)


async def _may(client: Client, permission: AccountPermission) -> bool | Unanswered:
    try:
        return await cluster.may(client, permission)
    except Unanswered as error:
        return error


def _tell_permission(report: _Report, permission: AccountPermission, answer: bool | Unanswered, who: str) -> None:
    unwanted = permission.need is Need.NEVER
    bad = report.warn if permission.need in (Need.USAGE, Need.NEVER) else report.miss
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
    """Everybody may review themselves, unless somebody took that away."""
    if error.status is None:
        return _AWAY_ADVICE
    return "bind ClusterRole system:basic-user to the group system:authenticated"


async def _check_metrics(client: Client, report: _Report) -> None:
    try:
        await cluster.require_metrics(client)
        report.ok("metrics", "metrics.k8s.io is served")
    except Unanswered as error:
        advice = "install metrics-server, or do without: instances are then shown without their usage"
        reason = "" if error.status == 404 else f" now: {error}"
        report.warn("metrics", f"metrics.k8s.io is not served{reason}", advice)


async def _check_labels(client: Client, settings: Settings, report: _Report) -> None:
    survey = Survey(client, settings.keys, LISTING_S)
    spaces_known = True
    try:
        await survey.list_namespaces()
    except Unanswered as error:
        spaces_known = False
        report.miss("labels", f"Namespaces cannot be listed: {error}", _LISTING_ADVICE)
    try:
        await survey.list_deployments()
    except Unanswered as error:
        report.miss("labels", f"Deployments cannot be listed: {error}", _LISTING_ADVICE)
        return
    label = settings.keys.app_guid
    if not survey.found:
        advice = "label them with the GUID of their app, or name the label they have: LABEL_PRESET, APP_GUID_LABEL"
        report.warn("labels", f"no Deployment carries {label}", advice)
        return
    report.ok(
        "labels", f"{_count(survey.found, 'Deployment')} with {label}, {_count(len(survey.index.processes), 'process')}"
    )
    _tell_losses(survey, label, report)
    if spaces_known:
        _tell_spaces(survey, report)


_LISTING_ADVICE = "the service lists them when it starts: see the permissions above; KUBE_TIMEOUT_S is the time it has"


def _tell_losses(survey: Survey, label: str, report: _Report) -> None:
    """What is labelled and yet not shown, or not whole."""
    conflicts = []
    for loser in survey.index.conflicts.values():
        rival = survey.index.rival(loser)
        older = f" (older: {rival.namespace}/{rival.name})" if rival else ""
        conflicts.append(f"{loser.namespace}/{loser.name}{older}")
    _tell_lost(
        report,
        "conflicts",
        sorted(conflicts),
        well="no two Deployments claim one process",
        harm="not shown, as an older one claims the same process",
        advice="delete the one that should not be there, or label it otherwise",
    )
    _tell_lost(
        report,
        "skipped",
        [f"{each.namespace}/{each.name} ({each.reason})" for each in survey.deployments.skipped.values()],
        well="every Deployment can be understood",
        harm="not shown, as it cannot be understood",
        advice="mend what the reason names",
    )
    _tell_lost(
        report,
        "pods",
        survey.unlabelled,
        well=f"every Pod template carries {label}",
        harm=f"shown without instances, as the Pod template lacks {label}",
        advice="give spec.template.metadata the labels of the Deployment",
    )


def _tell_lost(report: _Report, subject: str, lost: Sequence[str], *, well: str, harm: str, advice: str) -> None:
    if lost:
        report.warn(subject, f"{_count(len(lost), 'Deployment')} {harm}: {_few(lost)}", advice)
    else:
        report.ok(subject, well)


def _tell_spaces(survey: Survey, report: _Report) -> None:
    everything = survey.index.processes.page(None, Slice(size=len(survey.index.processes)))
    unnamed = {p.workload.namespace for p in everything.items if p.space_guid == p.workload.namespace}
    homeless = {p.workload.namespace for p in everything.items if p.organization_guid is None}
    text = f"processes are in {_count(len(survey.index.processes.namespaces()), 'Namespace')}"
    if unnamed:
        text += f"; the space's GUID is the Namespace's name, for want of a label, in {_few(sorted(unnamed))}"
    if homeless:
        text += f"; no organization is known, for want of a label, in {_few(sorted(homeless))}"
    report.ok("spaces", text)


async def _check_database(settings: Settings, report: _Report, wall_clock: Clock) -> None:
    where = store.address(settings.database_url)
    try:
        async with connected(settings.database_url, settings.database_timeout_s) as connection:
            found = await store.inspect(connection, wall_clock)
            report.ok("database", f"{where} answers: PostgreSQL {found.version}")
            report.clock("Postgres", found.ahead_s)
            _tell_role(found, report)
            await _check_schema(connection, found, report)
    except DatabaseUnavailable as error:
        advice = _DATABASE_ADVICE.get(error.reason, "does Postgres run there, and can it be reached from here?")
        report.miss("database", f"{where} cannot be used: {error.reason}", advice)


_DATABASE_ADVICE = {
    "InvalidPasswordError": "the role or the password in DATABASE_URL is not the one that Postgres knows",
    "InvalidAuthorizationSpecificationError": "let the role of DATABASE_URL in from here: pg_hba.conf",
    "InvalidCatalogNameError": "create the database, or name another one in DATABASE_URL",
    "gaierror": "the name of the host in DATABASE_URL is not known here",
}


def _tell_role(found: store.Database, report: _Report) -> None:
    if found.read_only:
        report.miss("role", f"{found.role} can only read", "name the primary in DATABASE_URL, not a standby")
    elif found.lacking:
        advice = "; ".join(f"GRANT {privilege} TO {found.role}" for privilege in found.lacking)
        report.miss("role", f"{found.role} has no {', '.join(found.lacking)}", advice)
    else:
        report.ok("role", f"{found.role} may read, write and {'' if found.may_create else 'not '}migrate")


async def _check_schema(connection: Connection, found: store.Database, report: _Report) -> None:
    try:
        missing = await store.unapplied(connection)
    except SchemaMismatch as error:
        report.miss("schema", str(error), "it was made by another version or program: name another database")
        return
    except DatabaseUnavailable as error:
        report.miss("schema", f"cannot be read: {error.reason}", "let the role read schema_migration")
        return
    if not missing:
        report.ok("schema", f"up to date: {_count(len(migrations()), 'migration')} applied")
        return
    text = f"{_count(len(missing), 'migration')} to be applied: {_few([f'{m.number:04} {m.name}' for m in missing])}"
    if found.may_create and not found.read_only:
        report.warn("schema", text, "`python -m service serve` does so when it starts, `migrate` does so at once")
    else:
        report.miss("schema", text, "run `python -m service migrate` as a role that may create tables")


def _count(number: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def _few(names: Sequence[str]) -> str:
    rest = len(names) - FEW
    return ", ".join(names[:FEW]) + (f" and {rest} more" if rest > 0 else "")


def _plain(text: str) -> str:
    """On one line, in ASCII: what others wrote may be neither, or move the cursor."""
    return re.sub(r"[^ -~]", "?", " ".join(text.split()))
