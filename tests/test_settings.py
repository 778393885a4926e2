"""Every knob: how it is read, what it is without being set, and that all complaints come at once without a secret."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from service.environment import InvalidSettings, load
from service.model.labels import PRESETS
from service.settings import Settings

SECRET = "hunter2"
DATABASE_URL = f"postgresql://user:{SECRET}@db.test:5432/processes"
REQUIRED = {"DATABASE_URL": DATABASE_URL}


def loaded(**environ: str) -> Settings:
    return load({**REQUIRED, **environ})


def complaints(**environ: str) -> list[str]:
    with pytest.raises(InvalidSettings) as caught:
        loaded(**environ)
    return str(caught.value).splitlines()


DEFAULTS: dict[str, Any] = {
    "kubeconfig": "",
    "kube_context": "",
    "host": "127.0.0.1",
    "port": 8080,
    "management_host": "127.0.0.1",
    "management_port": 9090,
    "external_url": "",
    "trusted_proxies": (),
    "session_secret": (),
    "authentication": "kubernetes",
    "served": "all",
    "review_ttl_s": 60.0,
    "review_grace_s": 900.0,
    "review_concurrency": 16,
    "kube_timeout_s": 10.0,
    "kube_write_timeout_s": 35.0,
    "watch_inactivity_s": 30.0,
    "database_timeout_s": 2.0,
    "database_pool_size": 8,
    "orphaned_metadata_days": 30,
    "label_preset": "default",
    "app_guid_label": "",
    "process_type_label": "",
    "process_guid_label": "",
    "space_guid_label": "",
    "organization_guid_label": "",
    "app_name_label": "",
    "space_name_label": "",
    "organization_name_label": "",
    "default_organization": "default",
    "user_ids": ("vcap=2000",),
    "usage_interval_s": 15.0,
    "fds_quota": 16384,
    "instance_stopping_state": False,
    "max_concurrent_requests": 512,
    "rate_limit_requests": 0,
    "rate_limit_window_s": 60.0,
    "max_body_bytes": 1 << 20,
    "max_bytes_in_flight": 64 << 20,
    "max_connections": 1000,
    "head_timeout_s": 10.0,
    "body_timeout_s": 20.0,
    "send_timeout_s": 30.0,
    "idle_timeout_s": 75.0,
    "drain_s": 0.0,
    "shutdown_timeout_s": 20.0,
    "log_level": "info",
}

SET: dict[str, tuple[str, Any]] = {
    "database_url": ("postgres://u@h/d", "postgres://u@h/d"),
    "kubeconfig": ("/etc/kube config", "/etc/kube config"),
    "kube_context": ("admin@local", "admin@local"),
    "host": ("0.0.0.0", "0.0.0.0"),  # noqa: S104 - a value to be read, nothing is bound
    "port": ("0", 0),
    "management_host": ("::", "::"),
    "management_port": ("65535", 65535),
    "external_url": ("https://api.example.org/base", "https://api.example.org/base"),
    "trusted_proxies": ("10.0.0.0/8, fd00::/8,192.0.2.1", ("10.0.0.0/8", "fd00::/8", "192.0.2.1")),
    "session_secret": (f"{'n' * 32}, {'o' * 40}", ("n" * 32, "o" * 40)),
    "authentication": ("none", "none"),
    "served": ("processes", "processes"),
    "review_ttl_s": ("0.5", 0.5),
    "review_grace_s": ("0", 0.0),
    "review_concurrency": ("1", 1),
    "kube_timeout_s": ("3", 3.0),
    "kube_write_timeout_s": ("60", 60.0),
    "watch_inactivity_s": ("1e2", 100.0),
    "database_timeout_s": ("0.05", 0.05),
    "database_pool_size": ("1", 1),
    "orphaned_metadata_days": ("0", 0),
    "label_preset": ("korifi", "korifi"),
    "app_guid_label": ("example.org/app", "example.org/app"),
    "process_type_label": ("type", "type"),
    "process_guid_label": ("example.org/Process_Guid", "example.org/Process_Guid"),
    "space_guid_label": ("space.guid", "space.guid"),
    "organization_guid_label": ("a-b.c/org", "a-b.c/org"),
    "app_name_label": ("a-b.c/app-name", "a-b.c/app-name"),
    "space_name_label": ("a-b.c/space-name", "a-b.c/space-name"),
    "organization_name_label": ("a-b.c/org-name", "a-b.c/org-name"),
    "default_organization": ("everything-else", "everything-else"),
    "user_ids": ("vcap=2000, root=0", ("vcap=2000", "root=0")),
    "usage_interval_s": ("30", 30.0),
    "fds_quota": ("1024", 1024),
    "instance_stopping_state": ("true", True),
    "max_concurrent_requests": ("1", 1),
    "rate_limit_requests": ("2000", 2000),
    "rate_limit_window_s": ("3600", 3600.0),
    "max_body_bytes": ("4096", 4096),
    "max_bytes_in_flight": ("2097152", 2 << 20),
    "max_connections": ("1", 1),
    "head_timeout_s": ("0.5", 0.5),
    "body_timeout_s": ("60", 60.0),
    "send_timeout_s": ("1e1", 10.0),
    "idle_timeout_s": ("3600", 3600.0),
    "drain_s": ("600", 600.0),
    "shutdown_timeout_s": ("86400", 86400.0),
    "log_level": ("debug", "debug"),
}


def test_only_the_database_is_required() -> None:
    assert dataclasses.asdict(load(REQUIRED)) == {**DEFAULTS, "database_url": DATABASE_URL}


def test_every_setting_is_tried_here() -> None:
    assert {field.name for field in dataclasses.fields(Settings)} == set(SET) == {"database_url", *DEFAULTS}


@pytest.mark.parametrize("name", SET)
def test_a_setting_is_read_from_the_variable_of_its_name(name: str) -> None:
    text, value = SET[name]
    found = dataclasses.asdict(loaded(**{name.upper(): text}))
    assert found[name] == value
    assert type(found[name]) is type(value)
    assert {k: v for k, v in found.items() if k != name} == {
        k: v for k, v in {**DEFAULTS, "database_url": DATABASE_URL}.items() if k != name
    }


@pytest.mark.parametrize("name", DEFAULTS)
def test_an_empty_variable_is_an_unset_one(name: str) -> None:
    assert loaded(**{name.upper(): ""}) == loaded()


def test_variables_of_others_are_passed_over() -> None:
    assert loaded(PATH="/bin", port="1", PROCESSES_PORT="2", LANG="ü") == loaded()


def test_nothing_is_read_from_the_process_s_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1234")
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/d")
    assert loaded().port == 8080
    with pytest.raises(InvalidSettings, match="DATABASE_URL: is required"):
        load({})


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded().port = 1  # type: ignore[misc]


def test_each_setting_says_what_it_means() -> None:
    for field in dataclasses.fields(Settings):
        assert field.metadata["text"].rstrip().endswith("."), field.name


# What is refused


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("PORT", ["-1", "65536", "http", "80.5", "8080 8081"]),
        ("MANAGEMENT_PORT", ["-1", "65536", "metrics"]),
        ("REVIEW_CONCURRENCY", ["0", "-1", "many", "1.5"]),
        ("MAX_CONCURRENT_REQUESTS", ["0", "-1", "many"]),
        ("RATE_LIMIT_REQUESTS", ["-1", "none", "1.5"]),
        ("RATE_LIMIT_WINDOW_S", ["0", "86401", "1h"]),
        ("MAX_BODY_BYTES", ["0", "-1", "1Mi"]),
        ("MAX_BYTES_IN_FLIGHT", ["0", "-1", "32Mi", str((2 << 20) - 1)]),
        ("MAX_CONNECTIONS", ["0", "-1", "many"]),
        ("HEAD_TIMEOUT_S", ["0", "86401", "10s"]),
        ("BODY_TIMEOUT_S", ["0", "86401", "inf"]),
        ("SEND_TIMEOUT_S", ["0", "86401", "nan"]),
        ("IDLE_TIMEOUT_S", ["0", "86401", "-1"]),
        ("REVIEW_TTL_S", ["0", "0.04", "86401", "-1", "60s", "nan", "inf"]),
        ("REVIEW_GRACE_S", ["-0.1", "86401", "15m", "nan", "-inf"]),
        ("KUBE_TIMEOUT_S", ["0", "86401", "x", "inf"]),
        ("WATCH_INACTIVITY_S", ["0", "86401", "x"]),
        ("DATABASE_TIMEOUT_S", ["0", "86401", "x"]),
        ("DRAIN_S", ["-1", "601", "x", "nan"]),
        ("SHUTDOWN_TIMEOUT_S", ["0", "86401", "x"]),
        ("AUTHENTICATION", ["off", "NONE", "kubernetes "]),
        ("SERVED", ["process", "ALL", "routes"]),
        ("LABEL_PRESET", ["cf", "Default"]),
        ("LOG_LEVEL", ["trace", "INFO"]),
        ("INSTANCE_STOPPING_STATE", ["maybe", "2", "STOPPING"]),
        ("SESSION_SECRET", ["short", f"{'x' * 31}", f"{'x' * 32},", f"{'x' * 32},short"]),
        ("TRUSTED_PROXIES", ["10.0.0.1/8", "10.0.0.0/33", "proxy.example.org", "10.0.0.0/8,,", "*"]),
        ("EXTERNAL_URL", ["api.example.org", "ftp://a.test", "https://", "//a.test", "https://a.test?x=1"]),
        (
            "EXTERNAL_URL",
            ["https://a.test/#x", "http:///v3", "http://[::1", "http://ho\u2100st", "http://user:p@a.test"],
        ),
        ("EXTERNAL_URL", ["http://a.test:notaport", "http://a.test:99999", "http://a.test:0"]),
        ("DATABASE_URL", ["mysql://u@h/d", "processes", "host=db user=u", "postgresql//u@h/d", "postgresql://u@h:x/d"]),
        ("DATABASE_URL", ["postgresql://[::1/d", "postgresql://u:p@ho\u2100st/d", "postgresql://u@h:0/d"]),
        ("APP_GUID_LABEL", ["a b", "/a", "a/", "a/b/c", "-a", "a-", "é", "A.B/c", "a" * 64, "a\n", "a=b", "a,b"]),
        ("PROCESS_TYPE_LABEL", ["a b"]),
        ("PROCESS_GUID_LABEL", ["a b"]),
        ("SPACE_GUID_LABEL", ["a b"]),
        ("ORGANIZATION_GUID_LABEL", ["a b"]),
    ],
)
def test_names_the_setting_that_is_wrong_and_no_other(name: str, texts: list[str]) -> None:
    for text in texts:
        found = complaints(**{name: text})
        assert found, text
        # A value that is two lines is repeated as two lines.
        assert all(line.startswith(f"{name}: ") for line in found[:1]), text
        assert not any(line.split(":")[0] in {n.upper() for n in SET} - {name} for line in found), text


@pytest.mark.parametrize("text", ["8_080", "٨٠٨٠", " 8080"])
def test_a_number_is_plain_digits(text: str) -> None:
    assert complaints(PORT=text)


def test_all_complaints_come_at_once() -> None:
    wrong = {
        "DATABASE_URL": "mysql://h/d",
        "PORT": "x",
        "REVIEW_TTL_S": "0",
        "LOG_LEVEL": "loud",
        "LABEL_PRESET": "cf",
        "EXTERNAL_URL": "api",
        "TRUSTED_PROXIES": "proxy",
        "SPACE_GUID_LABEL": "a b",
        "AUTHENTICATION": "none",
        "HOST": "0.0.0.0",  # noqa: S104
    }
    found = complaints(**wrong)
    assert {line.split(":")[0] for line in found} == wrong.keys() - {"HOST"}
    assert len(found) == len(wrong) - 1


def test_each_wrong_proxy_is_named() -> None:
    assert [line.split("'")[1] for line in complaints(TRUSTED_PROXIES="a,10.0.0.0/8,b")] == ["a", "b"]


def test_a_missing_database_is_told_with_an_example() -> None:
    with pytest.raises(InvalidSettings, match=r"^DATABASE_URL: is required, such as postgresql://"):
        load({})


# Secrets


def everything_shown(error: BaseException) -> str:
    """The error with its causes, as a traceback would print them."""
    chain: list[str] = []
    current: BaseException | None = error
    while current is not None:
        chain.append(f"{current!r} {current}")
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n".join(chain)


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://user:{SECRET}@h/d",
        f"user:{SECRET}@h/d",
        SECRET,
        f"postgresql://user:{SECRET}@[::1/d",
        f"postgresql://user:{SECRET}@ho\u2100st/d",
        f"postgresql://user:{SECRET}@h:port/d",
        f"postgresql://user@h:{SECRET}/d",
        DATABASE_URL,
    ],
)
def test_no_error_repeats_the_database_url(url: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load({"DATABASE_URL": url, "PORT": "x", "EXTERNAL_URL": "api", "LOG_LEVEL": "loud"})
    assert SECRET not in everything_shown(caught.value)


def test_repr_and_str_hide_the_database_url() -> None:
    settings = loaded()
    assert settings.database_url == DATABASE_URL
    for shown in (repr(settings), str(settings), f"{settings}", repr([settings])):
        assert SECRET not in shown
        assert "db.test" not in shown
        assert "database_url" not in shown


def test_what_is_hidden_is_marked_as_secret() -> None:
    for field in dataclasses.fields(Settings):
        assert field.repr is not field.metadata["secret"], field.name
    assert [field.name for field in dataclasses.fields(Settings) if field.metadata["secret"]] == [
        "database_url",
        "session_secret",
    ]


# Without authentication


@pytest.mark.parametrize("host", ["", "127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_without_authentication_it_binds_to_loopback(host: str) -> None:
    assert loaded(AUTHENTICATION="none", HOST=host).authentication == "none"


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",  # noqa: S104
        "::",
        "10.0.0.1",
        "128.0.0.1",
        "::2",
        "*",
        "example.org",
        "localhost.example.org",
        "127.0.0.1.nip.io",
        "LOCALHOST.",
        "127.1",
        "2130706433",
        "0",
        "[::1]",
        "127.0.0.1/8",
        " 127.0.0.1",
    ],
)
def test_without_authentication_it_refuses_to_bind_to_anything_else(host: str) -> None:
    (complaint,) = complaints(AUTHENTICATION="none", HOST=host)
    assert complaint.startswith("AUTHENTICATION: none is for loopback only")
    assert f"'{host}'" in complaint
    assert loaded(HOST=host).host == host


# Label keys

OVERRIDES = {
    "APP_GUID_LABEL": "app_guid",
    "PROCESS_TYPE_LABEL": "process_type",
    "PROCESS_GUID_LABEL": "process_guid",
    "SPACE_GUID_LABEL": "space_guid",
    "ORGANIZATION_GUID_LABEL": "organization_guid",
    "APP_NAME_LABEL": "app_name",
    "SPACE_NAME_LABEL": "space_name",
    "ORGANIZATION_NAME_LABEL": "organization_name",
}


def test_without_a_preset_the_keys_are_the_default_ones() -> None:
    assert loaded().keys == PRESETS["default"]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_keys_are_the_preset_s(preset: str) -> None:
    assert loaded(LABEL_PRESET=preset).keys == PRESETS[preset]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("variable", "key"), OVERRIDES.items())
def test_a_label_set_by_name_replaces_that_of_the_preset_alone(preset: str, variable: str, key: str) -> None:
    keys = loaded(LABEL_PRESET=preset, **{variable: "example.org/own"}).keys
    assert keys == dataclasses.replace(PRESETS[preset], **{key: "example.org/own"})


# Anything at all

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@hypothesis_settings(deadline=None, print_blob=True)
@given(
    st.dictionaries(
        st.sampled_from(sorted(name.upper() for name in SET)),
        texts | st.sampled_from([text for text, _ in SET.values()]),
        max_size=6,
    )
)
def test_any_environment_is_settings_or_complaints(environ: Mapping[str, str]) -> None:
    try:
        settings = load(environ)
    except InvalidSettings:
        return
    assert settings.database_url == environ["DATABASE_URL"]
