"""The label and annotation keys that tie Kubernetes objects to Cloud Foundry resources, and presets of them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Keys:
    """Label and annotation keys that tie Kubernetes objects to Cloud Foundry resources."""

    app_guid: str = "cloudfoundry.org/app-guid"
    process_type: str = "cloudfoundry.org/process-type"
    process_guid: str = "cloudfoundry.org/process-guid"
    space_guid: str = "cloudfoundry.org/space-guid"
    organization_guid: str = "cloudfoundry.org/org-guid"
    app_name: str = "cloudfoundry.org/app-name"
    """A label, or an annotation for names that a label cannot have."""
    space_name: str = "cloudfoundry.org/space-name"
    organization_name: str = "cloudfoundry.org/org-name"
    version: str = "cloudfoundry.org/version"
    revision_guid: str = "cloudfoundry.org/revision-guid"
    registry_credential_guid: str = "cloudfoundry.org/registry-credential-guid"
    registry_credential_last_synced_at: str = "cloudfoundry.org/registry-credential-last-synced-at"
    health_check: str = "cloudfoundry.org/health-check"
    readiness_health_check: str = "cloudfoundry.org/readiness-health-check"
    last_write: str = "cloudfoundry.org/last-write"
    user: str = "cloudfoundry.org/user"
    """`name=uid`: what the user was called by whoever set it."""
    original_command: str = "cloudfoundry.org/original-command"
    """What the app came with (service.model.originals)."""
    original_user: str = "cloudfoundry.org/original-user"
    original_health_check: str = "cloudfoundry.org/original-health-check"
    original_readiness_health_check: str = "cloudfoundry.org/original-readiness-health-check"
    stopped_instances: str = "cloudfoundry.org/stopped-instances"
    """What a Deployment of no replicas wants (service.model.desired)."""
    scaled_to_zero: str = "cloudfoundry.org/scaled-to-zero"
    cancelled_deployment: str = "cloudfoundry.org/cancelled-deployment"
    """From which deployment a Deployment was last taken back (service.model.rollback)."""


def _korifi(name: str) -> str:
    return f"korifi.cloudfoundry.org/{name}"


PRESETS: Mapping[str, Keys] = {
    "default": Keys(),
    "korifi": Keys(
        app_guid=_korifi("app-guid"),
        process_type=_korifi("process-type"),
        process_guid=_korifi("process-guid"),
        space_guid=_korifi("space-guid"),
        organization_guid=_korifi("org-guid"),
        app_name=_korifi("app-name"),
        space_name=_korifi("space-name"),
        organization_name=_korifi("org-name"),
        version=_korifi("version"),
        revision_guid=_korifi("revision-guid"),
        registry_credential_guid=_korifi("registry-credential-guid"),
        registry_credential_last_synced_at=_korifi("registry-credential-last-synced-at"),
        health_check=_korifi("health-check"),
        readiness_health_check=_korifi("readiness-health-check"),
        last_write=_korifi("last-write"),
        user=_korifi("user"),
        original_command=_korifi("original-command"),
        original_user=_korifi("original-user"),
        original_health_check=_korifi("original-health-check"),
        original_readiness_health_check=_korifi("original-readiness-health-check"),
        stopped_instances=_korifi("stopped-instances"),
        scaled_to_zero=_korifi("scaled-to-zero"),
        cancelled_deployment=_korifi("cancelled-deployment"),
    ),
    "eirini": Keys(
        app_guid="cloudfoundry.org/app_guid",
        process_type="cloudfoundry.org/process_type",
        process_guid="cloudfoundry.org/guid",
        space_guid="cloudfoundry.org/space_guid",
        organization_guid="cloudfoundry.org/org_guid",
        app_name="cloudfoundry.org/app_name",
        space_name="cloudfoundry.org/space_name",
        organization_name="cloudfoundry.org/org_name",
        version="cloudfoundry.org/version",
        revision_guid="cloudfoundry.org/revision_guid",
        registry_credential_guid="cloudfoundry.org/registry_credential_guid",
        registry_credential_last_synced_at="cloudfoundry.org/registry_credential_last_synced_at",
        health_check="cloudfoundry.org/health_check",
        readiness_health_check="cloudfoundry.org/readiness_health_check",
        last_write="cloudfoundry.org/last_write",
        user="cloudfoundry.org/user",
        original_command="cloudfoundry.org/original_command",
        original_user="cloudfoundry.org/original_user",
        original_health_check="cloudfoundry.org/original_health_check",
        original_readiness_health_check="cloudfoundry.org/original_readiness_health_check",
        stopped_instances="cloudfoundry.org/stopped_instances",
        scaled_to_zero="cloudfoundry.org/scaled_to_zero",
        cancelled_deployment="cloudfoundry.org/cancelled_deployment",
    ),
}
