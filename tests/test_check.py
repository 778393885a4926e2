"""`python -m service check`: what it finds, what it says of it, and that it leaves everything as it was."""

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from deploy.local.stack import Stack
from service.check import FEW, Finding, Level, Outcome, check
from service.cluster.permissions import OPTIONAL, PERMISSIONS, AccountPermission, Need
from service.settings import Settings
from service.store.database import connected, migrate
from service.store.inspection import PRIVILEGES, address
from tests.conftest import new_database
from tests.support.kube import Kube, deployment, eventually
from tests.test_process import run

RBAC = Path(__file__).parents[1] / "deploy" / "base" / "rbac.yaml"
NEEDED = [permission for permission in PERMISSIONS if permission.need is not Need.NEVER]


class Found:
    """What a check came to, and what it told."""

    def __init__(self, outcome: Outcome, findings: list[Finding]) -> None:
        self.outcome = outcome
        self.findings = findings

    def texts(self, level: Level, subject: str = "") -> list[str]:
        return [f.text for f in self.findings if f.level is level and subject in ("", f.subject)]

    def text(self, level: Level, subject: str) -> str:
        """The only one of this kind."""
        (text,) = self.texts(level, subject)
        return text

    def advice(self, subject: str) -> str:
        """Of the only bad finding on the subject."""
        (advice,) = (f.advice for f in self.findings if f.subject == subject and f.level is not Level.OK)
        return advice


async def checked(settings: Settings, wall_clock: Callable[[], float] = time.time) -> Found:
    """A check, of which nothing is left, and whose every finding is fit to be printed."""
    before = asyncio.all_tasks()
    findings: list[Finding] = []
    outcome = await check(settings, findings.append, wall_clock)
    left = {task for task in asyncio.all_tasks() - before if not task.done()}
    if left:
        # A connection whose other end has just closed takes a moment to notice.
        _, left = await asyncio.wait(left, timeout=2)
    assert not left, left
    for finding in findings:
        printed = str(finding).split("\n")
        assert "".join(printed).isascii()
        assert "".join(printed).isprintable()
        assert printed[0].split()[0] == finding.level.value
        assert len(printed) == (1 if finding.level is Level.OK else 2), "a bad one comes with what to do"
    assert_no_secret("\n".join(map(str, findings)), settings)
    assert (outcome is Outcome.WELL) == all(finding.level is not Level.MISSING for finding in findings)
    return Found(outcome, findings)


def assert_no_secret(text: str, settings: Settings) -> None:
    secrets = re.findall(r"://[^:/@]*:([^/]*)@", settings.database_url)
    kubeconfig = Path(settings.kubeconfig)
    if kubeconfig.is_file():
        secrets += re.findall(r'"token": ?"([^"]+)"', kubeconfig.read_text())
    for secret in secrets:
        assert secret not in text
        assert secret.rpartition(".")[2] not in text


@pytest.fixture(scope="module")
async def migrated(database_url: str) -> None:
    async with connected(database_url, 5) as connection:
        await migrate(connection)


@pytest.fixture
def settings(stack: Stack, database_url: str, migrated: None) -> Settings:
    """All is well, and of all Deployments only the test's own carry the label."""
    return Settings(
        database_url=database_url,
        kubeconfig=str(stack.service_kubeconfig),
        kube_timeout_s=2,
        database_timeout_s=1,
        app_guid_label=f"{uuid4()}.test/app-guid",
    )


@pytest.fixture
def kubeconfig_of(stack: Stack, tmp_path: Path) -> Callable[[str], str]:
    """The path of a kubeconfig with this token."""

    def write(token: str) -> str:
        path = tmp_path / f"kubeconfig-{uuid4().hex}"
        path.write_text(stack.control_plane.kubeconfig_for(token))
        return str(path)

    return write


@pytest.fixture
def kubeconfig_at(stack: Stack, tmp_path: Path) -> Callable[[str], str]:
    """The path of the service's kubeconfig with its server moved to this address.

    Without the token where the address has a password: aiohttp sends one or the other.
    """

    def write(server: str) -> str:
        config = orjson.loads(stack.service_kubeconfig.read_text())
        config["clusters"][0]["cluster"]["server"] = server
        if "@" in server:
            del config["users"][0]["user"]["token"]
        path = tmp_path / f"kubeconfig-{uuid4().hex}"
        path.write_bytes(orjson.dumps(config))
        return str(path)

    return write


@pytest.fixture
def silence() -> Iterator[int]:
    """A port where connections are accepted, and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield listener.getsockname()[1]


def labelled(settings: Settings, name: str, space: str, app_guid: str, **options: Any) -> dict[str, Any]:
    return deployment(name, space, app_guid, labels={settings.app_guid_label: app_guid}, **options)


async def account_with(kube: Kube, *permissions: AccountPermission) -> str:
    """The token of an account that may do just this."""
    name = f"check-{uuid4().hex[:10]}"
    rules = [{"apiGroups": [p.group], "resources": [p.resource], "verbs": [p.verb]} for p in permissions]
    role = {"metadata": {"name": name}, "rules": rules}
    await kube.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", role)
    return await kube.token_of_new_user(cluster_roles=(name,))


# All is well


async def test_all_is_well_for_the_account_of_the_manifests(settings: Settings, kube: Kube, space: str) -> None:
    await kube.create(labelled(settings, "one", space, str(uuid4())))
    found = await checked(settings)
    assert found.outcome is Outcome.WELL
    assert {f.subject for f in found.findings if f.level is not Level.OK} <= {"metrics", "routes"}
    assert len(found.texts(Level.OK, "permission")) == len(PERMISSIONS)
    assert found.text(Level.OK, "account").endswith("system:serviceaccount:processes:processes")
    assert re.search(r"answers: Kubernetes v1\.\d+\.\d+$", found.text(Level.OK, "cluster"))
    assert re.search(r"answers: PostgreSQL \d+", found.text(Level.OK, "database"))
    assert len(found.texts(Level.OK, "clock")) == 2
    assert found.text(Level.OK, "labels") == f"1 Deployment with {settings.app_guid_label}, 1 process"


@pytest.mark.parametrize(
    ("broken", "subject", "other"),
    [
        ("service.cluster.inspection.server", "cluster", "schema"),
        ("service.store.inspection.inspect", "database", "account"),
    ],
)
async def test_defect_in_one_half_leaves_the_other(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, broken: str, subject: str, other: str
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("hunter2")

    monkeypatch.setattr(broken, fail)
    found = await checked(settings)
    assert found.outcome is Outcome.MISSING
    assert found.text(Level.MISSING, subject) == "could not be looked at further: RuntimeError in the service"
    assert found.texts(Level.OK, other)


async def test_exit_status_and_lines_of_the_process(settings: Settings) -> None:
    environ = {
        "DATABASE_URL": settings.database_url,
        "KUBECONFIG": settings.kubeconfig,
        "APP_GUID_LABEL": settings.app_guid_label,
        "LC_ALL": "C",
    }
    code, out, err = await run("check", **environ)
    assert (code, err) == (0, "")
    assert {line.split()[0] for line in out.splitlines()} == {"ok", "warning", "->"}
    assert_no_secret(out, settings)

    away = re.sub(r"@.*/", "@127.0.0.1:1/", settings.database_url)
    code, out, err = await run("check", **{**environ, "DATABASE_URL": away})
    assert (code, err) == (1, "")
    assert [line.split()[1] for line in out.splitlines() if line.startswith("MISSING")] == ["database"]
    assert_no_secret(out, settings)

    code, out, err = await run("check", **{**environ, "KUBECONFIG": "/no/such/file"})
    assert (code, err) == (2, "")

    code, out, err = await run("check", DATABASE_URL="mysql://user:hunter2@host/db", PORT="many")
    assert (code, out) == (2, "")
    assert [line.split(":")[0] for line in sorted(err.splitlines())] == ["DATABASE_URL", "PORT"]
    assert "hunter2" not in err


async def test_asks_only_questions(settings: Settings, kubeconfig_at: Callable[[str], str]) -> None:
    async with scripted(version="v1.36.3") as (server, asked):
        await checked(replace(settings, kubeconfig=kubeconfig_at(server)))
    reviews = {
        ("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews"),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
    }
    assert {question for question in asked if question[0] != "GET"} == reviews


# Permissions


def test_manifest_grants_what_the_table_needs_and_no_more() -> None:
    (role,) = (
        each
        for each in yaml.safe_load_all(RBAC.read_text())
        if (each["kind"], each["metadata"]["name"]) == ("ClusterRole", "processes")
    )
    granted = [
        (verb, group, resource)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    ]
    assert sorted(granted) == sorted((p.verb, p.group, p.resource) for p in NEEDED)


@pytest.mark.parametrize("removed", NEEDED, ids=str)
async def test_permission_that_is_missing_is_named(
    settings: Settings, kube: Kube, kubeconfig_of: Callable[[str], str], removed: AccountPermission
) -> None:
    token = await account_with(kube, *(permission for permission in NEEDED if permission is not removed))
    own = replace(settings, kubeconfig=kubeconfig_of(token))
    level = Level.WARNING if removed.need in OPTIONAL else Level.MISSING

    async def named() -> Found | None:
        found = await checked(own)
        # The authorizer learns of new roles a moment later.
        return found if len(found.texts(Level.OK, "permission")) == len(PERMISSIONS) - 1 else None

    found: Found = await eventually(named)
    assert found.text(level, "permission").startswith(f"may not {removed}: ")
    assert "system:serviceaccount:default:" in found.advice("permission")
    assert found.outcome is (Outcome.WELL if removed.need in OPTIONAL else Outcome.MISSING)
    listing = {"list deployments.apps": "Deployments", "list namespaces": "Namespaces"}.get(str(removed))
    assert [text.split()[0] for text in found.texts(Level.MISSING, "labels")] == ([listing] if listing else [])


async def test_permissions_it_should_not_have_are_warned_of(settings: Settings, stack: Stack) -> None:
    found = await checked(replace(settings, kubeconfig=str(stack.kubeconfig)))
    warned = found.texts(Level.WARNING, "permission")
    unwanted = [permission for permission in PERMISSIONS if permission.need is Need.NEVER]
    assert [text.split(",")[0] for text in warned] == [f"may {permission}" for permission in unwanted]
    assert found.outcome is Outcome.WELL


async def test_without_authentication_reviews_are_not_needed(
    settings: Settings, kube: Kube, kubeconfig_of: Callable[[str], str]
) -> None:
    token = await account_with(kube, *(permission for permission in NEEDED if permission.need is not Need.REVIEWS))
    own = replace(settings, authentication="none", kubeconfig=kubeconfig_of(token))

    async def well() -> bool:
        return (await checked(own)).outcome is Outcome.WELL

    await eventually(well)
    assert (await checked(replace(own, authentication="kubernetes"))).outcome is Outcome.MISSING


async def test_token_that_is_not_accepted_is_said_and_not_shown(
    settings: Settings, kubeconfig_of: Callable[[str], str]
) -> None:
    found = await checked(replace(settings, kubeconfig=kubeconfig_of("hunter2hunter2")))
    assert "does not accept our credentials" in found.text(Level.MISSING, "cluster")
    assert found.outcome is Outcome.MISSING
    assert found.texts(Level.OK, "schema")


# The cluster


async def test_cluster_away_is_said_and_the_database_still_asked(
    settings: Settings, kubeconfig_at: Callable[[str], str]
) -> None:
    found = await checked(replace(settings, kubeconfig=kubeconfig_at("https://user:hunter2@127.0.0.1:1")))
    assert found.outcome is Outcome.MISSING
    assert found.text(Level.MISSING, "cluster").startswith("https://127.0.0.1:1 ")
    assert [f.subject for f in found.findings] == ["settings", "cluster", "database", "clock", "role", "schema"]


async def test_silence_is_not_listened_to_for_ever(
    settings: Settings, kubeconfig_at: Callable[[str], str], silence: int
) -> None:
    silent = replace(
        settings,
        kubeconfig=kubeconfig_at(f"https://127.0.0.1:{silence}"),
        database_url=re.sub(r"@.*/", f"@127.0.0.1:{silence}/", settings.database_url),
    )
    begun = time.monotonic()
    found = await checked(silent)
    assert time.monotonic() - begun < 2 + 1 + 2
    assert [f.subject for f in found.findings if f.level is Level.MISSING] == ["cluster", "database"]


async def test_without_a_cluster_configured_the_settings_are_wrong_and_the_database_still_asked(
    settings: Settings,
) -> None:
    found = await checked(replace(settings, kubeconfig="/no/such/file"))
    assert found.outcome is Outcome.WRONG_SETTINGS
    assert "/no/such/file" in found.text(Level.MISSING, "cluster")
    assert found.texts(Level.OK, "schema")


async def test_clocks_that_differ_are_warned_of(settings: Settings) -> None:
    behind = await checked(settings, lambda: time.time() - 60)
    ahead = await checked(settings, lambda: time.time() + 60)
    for found, says in ((behind, "ahead of"), (ahead, "behind")):
        cluster, database = found.texts(Level.WARNING, "clock")
        assert re.fullmatch(rf"kube-apiserver's is (59|60)\.\d s {says} ours", cluster)
        assert re.fullmatch(rf"Postgres's is (59|60)\.\d s {says} ours", database)
        assert found.outcome is Outcome.WELL


@asynccontextmanager
async def scripted(**answers: Any) -> AsyncIterator[tuple[str, list[tuple[str, str]]]]:
    """A kube-apiserver as no real one is here: its address, and the (method, path) of all it was asked.

    `version` is what it calls itself, `metrics` the status of the metrics API, `token` what continues every list;
    reviews say yes and lists are empty.
    """
    asked: list[tuple[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.method, request.path))
        if request.path == "/version":
            if "page" in answers:
                return web.Response(text=answers["page"], content_type="text/html")
            return web.json_response({"gitVersion": answers["version"]})
        if request.path.startswith("/apis/metrics.k8s.io"):
            return web.json_response({}, status=answers.get("metrics", 200))
        if request.method == "POST":
            return web.json_response({"status": {"allowed": True, "userInfo": {"username": "us\n\x1b[31m\u00e9"}}})
        return web.json_response(
            {"metadata": {"resourceVersion": "1", "continue": answers.get("token", "")}, "items": []}
        )

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    server = TestServer(app)
    await server.start_server()
    try:
        yield str(server.make_url("")).rstrip("/"), asked
    finally:
        await server.close()


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ("v1.34.9", Level.WARNING),
        ("v1.9.0", Level.WARNING),
        ("v1.35.0", Level.OK),
        ("v1.36.1-eks-8cce635", Level.OK),
        ("v2.0.0", Level.OK),
        ("3", Level.MISSING),
    ],
)
async def test_release_before_versions_were_comparable_is_warned_of(
    settings: Settings, kubeconfig_at: Callable[[str], str], version: str, level: Level
) -> None:
    async with scripted(version=version) as (server, _):
        found = await checked(replace(settings, kubeconfig=kubeconfig_at(server)))
    assert level is Level.MISSING or version in found.text(level, "cluster")
    assert len(found.texts(level, "cluster")) == 1
    if level is Level.WARNING:
        assert "resourceVersions" in found.advice("cluster")


async def test_page_of_a_proxy_is_no_cluster(settings: Settings, kubeconfig_at: Callable[[str], str]) -> None:
    async with scripted(page="<html>hunter2") as (server, asked):
        found = await checked(replace(settings, kubeconfig=kubeconfig_at(server)))
    assert "not one of Kubernetes" in found.text(Level.MISSING, "cluster")
    assert len(asked) == 1


@pytest.mark.parametrize(("status", "says"), [(404, "is not served"), (503, "is not served now: ")])
async def test_metrics_away_are_warned_of(
    settings: Settings, kubeconfig_at: Callable[[str], str], status: int, says: str
) -> None:
    async with scripted(version="v1.36.3", metrics=status) as (server, _):
        found = await checked(replace(settings, kubeconfig=kubeconfig_at(server)))
    assert says in found.text(Level.WARNING, "metrics")
    assert found.outcome is Outcome.WELL
    async with scripted(version="v1.36.3") as (server, _):
        found = await checked(replace(settings, kubeconfig=kubeconfig_at(server)))
    assert found.text(Level.OK, "metrics") == "metrics.k8s.io is served"


# Labels


async def test_list_without_an_end_is_given_up(
    settings: Settings, kubeconfig_at: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.check.labels.LISTING_S", 0.2)
    async with scripted(version="v1.36.3", token="more") as (server, _):
        found = await checked(replace(settings, kubeconfig=kubeconfig_at(server)))
    namespaces, deployments = found.texts(Level.MISSING, "labels")
    assert namespaces.endswith("/namespaces: TimeoutError")
    assert deployments.endswith("/deployments: TimeoutError")


async def test_no_deployment_with_the_label_is_warned_of(settings: Settings) -> None:
    found = await checked(settings)
    assert settings.app_guid_label in found.text(Level.WARNING, "labels")
    assert "LABEL_PRESET" in found.advice("labels")
    assert found.outcome is Outcome.WELL


async def test_what_is_not_shown_is_named_with_the_reason(
    settings: Settings, kube: Kube, space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.cluster.collection.LIST_CHUNK", 2)
    app, names = str(uuid4()), [f"bare-{number}" for number in range(FEW + 2)]
    for name in ("first", "second"):
        await kube.create(labelled(settings, name, space, app))
    await kube.create(labelled(settings, "unclear", space, ""))
    for name in names:
        bare = labelled(settings, name, space, str(uuid4()))
        del bare["spec"]["template"]["metadata"]["labels"][settings.app_guid_label]
        await kube.create(bare)
    found = await checked(settings)
    assert found.outcome is Outcome.WELL
    assert re.match(r"8 Deployments with \S+, 6 processes$", found.text(Level.OK, "labels"))
    conflict = found.text(Level.WARNING, "conflicts")
    assert conflict.startswith("1 Deployment not shown, ")
    assert re.search(rf": {space}/(first|second) \(older: {space}/(first|second)\)$", conflict)
    skipped = found.text(Level.WARNING, "skipped")
    assert skipped.endswith(f": {space}/unclear (label {settings.app_guid_label} is absent or empty)")
    unseen = found.text(Level.WARNING, "pods")
    assert unseen.startswith(f"{len(names)} Deployments ")
    assert unseen.endswith(f"{', '.join(f'{space}/{name}' for name in names[:FEW])} and 2 more")
    assert found.text(Level.OK, "spaces").count(space) == 2


async def test_namespaces_without_labels_are_told(settings: Settings, kube: Kube) -> None:
    keys = settings.keys
    whole = await kube.create_namespace({keys.space_guid: "space", keys.organization_guid: "organization"})
    half = await kube.create_namespace({keys.space_guid: "another-space"})
    try:
        await kube.create(labelled(settings, "one", whole, str(uuid4())))
        assert (await checked(settings)).text(Level.OK, "spaces") == "processes are in 1 Namespace"
        await kube.create(labelled(settings, "one", half, str(uuid4())))
        text = (await checked(settings)).text(Level.OK, "spaces")
        assert (
            text
            == f"processes are in 2 Namespaces; the organization is the default one, for want of a label, in {half}"
        )
    finally:
        for name in (whole, half):
            await kube.delete_namespace(name)


# The database


@pytest.fixture
async def empty_url(stack: Stack) -> AsyncIterator[str]:
    async with new_database(stack.database_url) as url:
        yield url


@pytest.fixture
async def role_url(empty_url: str) -> AsyncIterator[str]:
    """The empty database as a role that may only connect to it."""
    name = f"role-{uuid4().hex[:8]}"
    async with connected(empty_url, 5) as owner:
        await owner.execute(f"REVOKE ALL ON SCHEMA public FROM PUBLIC; CREATE ROLE \"{name}\" LOGIN PASSWORD 'hunter2'")
        await owner.execute(f'GRANT USAGE ON SCHEMA public TO "{name}"')
        try:
            yield re.sub(r"//.*@", f"//{name}:hunter2@", empty_url)
        finally:
            await owner.execute(f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')


async def tables(url: str) -> set[str]:
    async with connected(url, 5) as connection:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row["tablename"] for row in rows}


async def test_privileges_name_every_table_of_the_migrations(settings: Settings) -> None:
    assert await tables(settings.database_url) == PRIVILEGES.keys()


async def test_schema_to_be_migrated_is_told_and_left_alone(settings: Settings, empty_url: str) -> None:
    found = await checked(replace(settings, database_url=empty_url))
    assert "0001 process_metadata" in found.text(Level.WARNING, "schema")
    assert "migrate" in found.advice("schema")
    assert found.outcome is Outcome.WELL
    assert await tables(empty_url) == set()


async def test_role_that_cannot_migrate_misses_the_schema(settings: Settings, role_url: str) -> None:
    found = await checked(replace(settings, database_url=role_url))
    assert "0001 process_metadata" in found.text(Level.MISSING, "schema")
    assert "may create tables" in found.advice("schema")
    assert found.outcome is Outcome.MISSING


async def test_privileges_that_are_missing_are_named_with_what_grants_them(
    settings: Settings, empty_url: str, role_url: str
) -> None:
    async with connected(empty_url, 5) as owner:
        await migrate(owner)
        found = await checked(replace(settings, database_url=role_url))
        assert "UPDATE ON metadata_counter" in found.text(Level.MISSING, "role")
        assert found.text(Level.MISSING, "schema") == "cannot be read: InsufficientPrivilegeError"
        await owner.execute(found.advice("role"))
    found = await checked(replace(settings, database_url=role_url))
    assert found.text(Level.OK, "role").endswith(" may read, write and not migrate")
    assert found.outcome is Outcome.WELL


async def test_role_that_can_only_read_is_told(settings: Settings, empty_url: str, role_url: str) -> None:
    async with connected(empty_url, 5) as owner:
        name = role_url.partition("//")[2].partition(":")[0]
        await owner.execute(f'ALTER ROLE "{name}" SET default_transaction_read_only = on')
    found = await checked(replace(settings, database_url=role_url))
    assert found.text(Level.MISSING, "role").endswith("can only read")


async def test_schema_of_others_is_told(settings: Settings, empty_url: str) -> None:
    async with connected(empty_url, 5) as connection:
        await migrate(connection)
        await connection.execute("UPDATE schema_migration SET checksum = 'other' WHERE number = 1")
    found = await checked(replace(settings, database_url=empty_url))
    assert "0001" in found.text(Level.MISSING, "schema")
    assert found.outcome is Outcome.MISSING


@pytest.mark.parametrize(
    ("replacement", "reason", "advice"),
    [
        (("@.*/", "@127.0.0.1:1/"), "ConnectionRefusedError", "does Postgres run there"),
        (("@.*/", "@no-such-host.invalid/"), "gaierror", "name of the host"),
        ((":[^:]*@", ":wrong-secret@"), "InvalidPasswordError", "password"),
        (("[^/]*$", "no_such_database"), "InvalidCatalogNameError", "create the database"),
    ],
)
async def test_database_that_cannot_be_used_is_said_and_the_cluster_still_asked(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, replacement: tuple[str, str], reason: str, advice: str
) -> None:
    resolve = socket.getaddrinfo

    def resolve_without_network(host: Any, *arguments: Any, **options: Any) -> Any:
        if host == "no-such-host.invalid":
            raise socket.gaierror
        return resolve(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_without_network)
    url = re.sub(*replacement, settings.database_url, count=1)
    found = await checked(replace(settings, database_url=url))
    assert found.outcome is Outcome.MISSING
    assert found.text(Level.MISSING, "database") == f"{address(url)} cannot be used: {reason}"
    assert advice in found.advice("database")
    assert len(found.texts(Level.OK, "permission")) == len(PERMISSIONS)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://user:hunter2@db.test:5432/processes?sslmode=require", "db.test:5432/processes"),
        ("postgresql://user:hunter2@a.test:1,b.test/processes", "a.test:1,b.test/processes"),
        ("postgresql://user:p@hunter2@db.test/processes", "db.test/processes"),
        ("postgresql://db.test/processes?password=hunter2", "db.test/processes"),
        ("postgresql://user:12/hunter2@db.test/processes", "the host of DATABASE_URL"),
        ("postgresql://user:12?hunter2@db.test/processes", "the host of DATABASE_URL"),
        ("postgresql://user:12#hunter2@db.test/processes", "the host of DATABASE_URL"),
    ],
)
def test_address_of_a_database_shows_no_password(url: str, shown: str) -> None:
    assert address(url) == shown
