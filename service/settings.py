"""Every knob of the service.

A setting is a field of `Settings`: its environment variable is the field's name in capitals (service.environment reads
it), its unit ends the name, and the text after it is what the table in deploy/SETTINGS.md says of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from environs import validate

from service.model.labels import PRESETS, Keys
from service.model.process import DEFAULT_ORGANIZATION


def setting(default: Any, text: str, *, secret: bool = False, **checks: Any) -> Any:
    """A field of Settings: its default, what it means, and environs' validators for it."""
    return field(default=default, repr=not secret, metadata={"text": text, "secret": secret, **checks})


_PORT = validate.Range(0, 65535)
_COUNT = validate.Range(min=1)
_SECONDS = validate.Range(min=0.05, max=86400)


@dataclass(frozen=True, kw_only=True)
class Settings:
    database_url: str = setting(
        "", "Postgres, as `postgresql://user:password@host:5432/database`. Required.", secret=True
    )
    kubeconfig: str = setting(
        "", "A kubeconfig file, for use outside a cluster. Empty: the Pod's own service account, when run in one."
    )
    kube_context: str = setting("", "The context of the kubeconfig to use. Empty: its current one.")
    host: str = setting("127.0.0.1", "The address to listen on.")
    port: int = setting(8080, "The port to listen on; 0 picks a free one.", validate=_PORT)
    management_host: str = setting(
        "127.0.0.1", "The address for probes and metrics, which whoever reaches it may ask without a token."
    )
    management_port: int = setting(9090, "The port for probes and metrics; 0 picks a free one.", validate=_PORT)
    external_url: str = setting(
        "", "The base of every link, such as `https://api.example.org`. Empty: each request's own scheme and Host."
    )
    trusted_proxies: tuple[str, ...] = setting(
        (), "Networks (CIDR, comma-separated) whose `X-Forwarded-Proto`, `-Host` and `-For` are believed."
    )
    authentication: str = setting(
        "kubernetes",
        "`kubernetes`: callers show a token of the cluster. `none`: all may read and none may write; loopback only.",
        validate=validate.OneOf(["kubernetes", "none"]),
    )
    served: str = setting(
        "all",
        "`all`: everything. `processes`: processes and their instances only, for [who keeps a Cloud "
        "Controller](OPERATING.md#beside-a-cloud-controller) that answers the rest.",
        validate=validate.OneOf(["all", "processes"]),
    )
    session_secret: tuple[str, ...] = setting(
        (),
        "Encrypts the dashboard's sign-ins: texts of 32 characters or more, comma-separated; the first encrypts, all "
        "decrypt, so that they can be rotated. Empty: a random key per process; sign-ins then end with it, and other "
        "replicas do not know them.",
        secret=True,
    )
    review_ttl_s: float = setting(
        60.0, "How long an answer of TokenReview or SubjectAccessReview is used.", validate=_SECONDS
    )
    review_grace_s: float = setting(
        900.0,
        "How long a positive answer goes on being used while kube-apiserver cannot be asked.",
        validate=validate.Range(min=0, max=86400),
    )
    review_concurrency: int = setting(16, "Reviews asked of kube-apiserver at a time.", validate=_COUNT)
    kube_timeout_s: float = setting(
        10.0, "How long one request to kube-apiserver may take. Watches last longer.", validate=_SECONDS
    )
    kube_write_timeout_s: float = setting(
        35.0,
        "How long a request to kube-apiserver may take that changes something. A webhook may keep it for up to 30 s; "
        "below 34 s, the answer cannot say which webhook that was.",
        validate=_SECONDS,
    )
    watch_inactivity_s: float = setting(
        30.0,
        "A watch that is silent for so long is opened anew where it was: its connection may be dead, and until then "
        "what others change in the cluster is not seen. Silence is no failure: where nothing changes, kube-apiserver "
        "sends a bookmark every 60 s at most. Each time it costs two or three small requests.",
        validate=_SECONDS,
    )
    database_timeout_s: float = setting(
        2.0,
        "How long Postgres may take for one statement. After that, a read is answered with the metadata known so far.",
        validate=_SECONDS,
    )
    database_pool_size: int = setting(
        8, "Connections of each replica to Postgres for writes. One more is for reads.", validate=_COUNT
    )
    orphaned_metadata_days: int = setting(
        30,
        "For how many days the metadata of a process is kept once its Deployment is gone. 0: for ever.",
        validate=validate.Range(min=0, max=36_500),
    )
    label_preset: str = setting(
        "default",
        "Whose label keys the Deployments carry: `default`, `korifi` or `eirini`.",
        validate=validate.OneOf(sorted(PRESETS)),
    )
    app_guid_label: str = setting("", "Replaces the preset's label of the app GUID.")
    process_type_label: str = setting("", "Replaces the preset's label of the process type.")
    process_guid_label: str = setting("", "Replaces the preset's label of the process GUID.")
    space_guid_label: str = setting("", "Replaces the preset's label of the space GUID.")
    organization_guid_label: str = setting("", "Replaces the preset's label of the organization GUID.")
    app_name_label: str = setting("", "Replaces the preset's label and annotation of the app's name.")
    space_name_label: str = setting("", "Replaces the preset's label of the space's name.")
    organization_name_label: str = setting("", "Replaces the preset's label of the organization's name.")
    default_organization: str = setting(
        DEFAULT_ORGANIZATION,
        "The GUID of the organization of all namespaces whose labels name none.",
        validate=validate.Length(min=1, max=63),
    )
    user_ids: tuple[str, ...] = setting(
        ("vcap=2000",), "Names of users that processes may be given, and the uids they stand for (comma-separated)."
    )
    usage_interval_s: float = setting(
        15.0,
        "How long a sample of what the Pods of a namespace use is shown, before the metrics API is asked for the next.",
        validate=_SECONDS,
    )
    fds_quota: int = setting(16384, "Open files that stats say an instance may have.", validate=_COUNT)
    instance_stopping_state: bool = setting(
        False,
        "`true`: an instance whose Pod is being deleted is STOPPING, which not every client knows; else it is DOWN.",
    )
    max_concurrent_requests: int = setting(
        512, "Requests worked on at a time; more get 503 with Retry-After.", validate=_COUNT
    )
    rate_limit_requests: int = setting(
        0,
        "Requests that each replica takes in a window from one caller, or without a valid token from one address. "
        "0: no limit.",
        validate=validate.Range(min=0),
    )
    rate_limit_window_s: float = setting(60.0, "How long a window of RATE_LIMIT_REQUESTS is.", validate=_SECONDS)
    max_body_bytes: int = setting(1 << 20, "The largest request body, once decompressed.", validate=_COUNT)
    max_bytes_in_flight: int = setting(
        64 << 20,
        "Bytes held for all clients together: of requests that have begun to come in, and of replies that have not "
        "been taken yet. From half as many on, clients that stand still are disconnected; beyond, whichever has kept "
        "the service waiting longest.",
        validate=_COUNT,
    )
    max_connections: int = setting(
        1000,
        "Connections open at a time; fewer where the process may not open as many files. For one more, an idle one is "
        "closed, or else whichever has kept the service waiting longest.",
        validate=_COUNT,
    )
    head_timeout_s: float = setting(
        10.0, "How long a client may take to send the request line and headers.", validate=_SECONDS
    )
    body_timeout_s: float = setting(
        20.0, "How long a client may take to send the body of a request.", validate=_SECONDS
    )
    send_timeout_s: float = setting(
        30.0, "How long a client may take to receive a reply, or of a long one the next 256 KiB.", validate=_SECONDS
    )
    idle_timeout_s: float = setting(
        75.0,
        "How long a connection stays open between two requests. It should be longer than a proxy in front keeps its "
        "own, so that no request is sent on a connection that is being closed.",
        validate=_SECONDS,
    )
    drain_s: float = setting(
        0.0,
        "After SIGTERM, how long to go on accepting requests while `/readyz` says no.",
        validate=validate.Range(min=0, max=600),
    )
    shutdown_timeout_s: float = setting(20.0, "How long requests under way may take to finish.", validate=_SECONDS)
    log_level: str = setting(
        "info",
        "`debug` (one line a request), `info`, `warning` or `error`.",
        validate=validate.OneOf(["debug", "info", "warning", "error"]),
    )

    @property
    def uids(self) -> Mapping[str, int]:
        """The uid of each name of USER_IDS."""
        pairs = (entry.partition("=") for entry in self.user_ids)
        return {name: int(uid) for name, _, uid in pairs}

    @property
    def keys(self) -> Keys:
        """The preset's label keys with those replaced that are set by name."""
        named = {
            name.removesuffix("_label"): key for name, key in vars(self).items() if name.endswith("_label") and key
        }
        return replace(PRESETS[self.label_preset], **named)
