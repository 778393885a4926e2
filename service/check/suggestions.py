"""`python -m service check --suggest-labels`: the commands that make processes of Deployments that run unlabelled."""

from collections.abc import Callable

from service.check.cluster import connect
from service.check.labels import LISTING_S
from service.cluster.inspection import Unanswered
from service.cluster.unlabelled import unlabelled
from service.model.suggestions import Labels, label_command, template_command
from service.settings import Settings

_INTRODUCTION = """\
# What is missing for these Deployments to be processes. Read it, remove what you do not want, and give it to a shell.
# Each becomes an app of its own, with one process of type web. For several processes of one app, give their
# Deployments (and Pod templates) the same GUID, and each another type."""
_TEMPLATES = """
# So that their instances are known, the Pods need the label too. Each of these commands rolls its Deployment out:
# its Pods are replaced. Where a chart or a GitOps tool owns the Deployment, add the labels there instead."""


class SuggestionFailed(Exception):
    """Nothing can be suggested, and why: for the operator to read."""


async def suggest_labels(settings: Settings, tell: Callable[[str], None]) -> None:
    """Tell a shell script, line by line. Nothing is changed. Raises SuggestionFailed, NoCluster."""
    client = await connect(settings)
    try:
        found = [each async for each in unlabelled(client, settings.keys, LISTING_S)]
    except Unanswered as error:
        raise SuggestionFailed(f"The cluster's Deployments cannot be listed: {error}") from error
    finally:
        await client.close()
    _tell(found, settings, tell)


def _tell(found: list[Labels], settings: Settings, tell: Callable[[str], None]) -> None:
    found.sort(key=lambda each: (each.namespace, each.name))
    for heading, command in ((_INTRODUCTION, label_command), (_TEMPLATES, template_command)):
        commands = [line for each in found if (line := command(each, settings.keys))]
        for line in (heading, *commands) if commands else ():
            tell(line)
    if not found:
        tell(f"# Every Deployment carries {settings.keys.app_guid}, and so do its Pods.")
