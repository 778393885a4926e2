"""Checks of what the label keys of the settings find: processes, what is lost on the way to them, and spaces."""

from collections.abc import Sequence

from service.check.report import Report, count, few
from service.cluster.client import Client
from service.cluster.inspection import Survey, Unanswered
from service.model.labels import Keys
from service.model.selection import Slice

LISTING_S = 120.0
"""Time for one complete list of Namespaces or Deployments."""

_LISTING_ADVICE = "the service lists them when it starts: see the permissions above; KUBE_TIMEOUT_S is the time it has"


async def check_labels(client: Client, keys: Keys, report: Report) -> None:
    """Report on everything that these label keys find in the cluster."""
    survey = Survey(client, keys, LISTING_S)
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
    label = keys.app_guid
    if not survey.found:
        advice = "label them with the GUID of their app, or name the label they have: LABEL_PRESET, APP_GUID_LABEL"
        report.warn("labels", f"no Deployment carries {label}", advice)
        return
    processes = count(len(survey.index.processes), "process")
    report.ok("labels", f"{count(survey.found, 'Deployment')} with {label}, {processes}")
    _report_losses(survey, label, report)
    if spaces_known:
        _report_spaces(survey, report)


def _report_losses(survey: Survey, label: str, report: Report) -> None:
    """Report on Deployments that carry the label and yet are not shown, or not with all that belongs to them."""
    conflicts = []
    for loser in survey.index.conflicts.values():
        rival = survey.index.rival(loser)
        older = f" (older: {rival.namespace}/{rival.name})" if rival else ""
        conflicts.append(f"{loser.namespace}/{loser.name}{older}")
    _report_lost(
        report,
        "conflicts",
        sorted(conflicts),
        well="no two Deployments claim one process",
        harm="not shown, as an older one claims the same process",
        advice="delete the one that should not be there, or label it otherwise",
    )
    _report_lost(
        report,
        "skipped",
        [f"{each.namespace}/{each.name} ({each.reason})" for each in survey.deployments.skipped.values()],
        well="every Deployment can be understood",
        harm="not shown, as it cannot be understood",
        advice="mend what the reason names",
    )
    _report_lost(
        report,
        "pods",
        survey.unlabelled,
        well=f"every Pod template carries {label}",
        harm=f"shown without instances, as the Pod template lacks {label}",
        advice="give spec.template.metadata the labels of the Deployment",
    )


def _report_lost(report: Report, subject: str, lost: Sequence[str], *, well: str, harm: str, advice: str) -> None:
    if lost:
        report.warn(subject, f"{count(len(lost), 'Deployment')} {harm}: {few(lost)}", advice)
    else:
        report.ok(subject, well)


def _report_spaces(survey: Survey, report: Report) -> None:
    everything = survey.index.processes.page(None, Slice(size=len(survey.index.processes)))
    unnamed = {p.workload.namespace for p in everything.items if p.space_guid == p.workload.namespace}
    spaces = [(p.workload.namespace, survey.index.space(p.workload.namespace)) for p in everything.items]
    homeless = {namespace for namespace, space in spaces if space is None or space.organization_guid is None}
    text = f"processes are in {count(len(survey.index.processes.namespaces()), 'Namespace')}"
    if unnamed:
        text += f"; the space's GUID is the Namespace's name, for want of a label, in {few(sorted(unnamed))}"
    if homeless:
        text += f"; the organization is the default one, for want of a label, in {few(sorted(homeless))}"
    report.ok("spaces", text)
