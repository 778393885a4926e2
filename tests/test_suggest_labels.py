"""`python -m service check --suggest-labels`: it prints a script, and the API shows what the script has done."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from deploy.local.binaries import find_or_build
from deploy.local.stack import Stack
from service.check.suggestions import SuggestionFailed, suggest_labels
from service.settings import Settings
from tests.support.api import Api, running
from tests.support.kube import KEYS, Kube, deployment, eventually
from tests.test_process import run


@pytest.fixture
def settings(stack: Stack, database_url: str) -> Settings:
    return Settings(
        database_url=database_url, kubeconfig=str(stack.service_kubeconfig), port=0, review_ttl_s=0.2, kube_timeout_s=5
    )


def without_labels(name: str, space: str, *, keep: tuple[str, ...] = (), pods_too: bool = True) -> dict[str, Any]:
    """A Deployment's manifest with none of our labels but those to keep."""
    manifest = deployment(name, space, str(uuid4()), replicas=1)
    labelled = (manifest["metadata"], manifest["spec"]["template"]["metadata"])
    for meta in labelled if pods_too else labelled[:1]:
        meta["labels"] = {key: value for key, value in meta["labels"].items() if key in ("test", *keep)}
    return manifest


async def suggested(settings: Settings) -> list[str]:
    lines: list[str] = []
    await suggest_labels(settings, lines.append)
    return "\n".join(lines).splitlines()


async def of_space(settings: Settings, space: str) -> list[str]:
    """The commands for one namespace."""
    return [line for line in await suggested(settings) if f"--namespace {space} " in line]


@pytest.fixture
def give_to_a_shell(stack: Stack, tmp_path: Path) -> Callable[[list[str]], Any]:
    """Runs a script with the admin's kubeconfig and the kubectl that was built."""

    async def execute(lines: list[str]) -> None:
        script = tmp_path / "script"
        script.write_text("\n".join(lines))
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-eu",
            str(script),
            # NB: without a home, kubectl keeps what it has found out of the cluster in the directory that it runs in.
            env={
                "KUBECONFIG": str(stack.kubeconfig),
                "PATH": f"{find_or_build()}:/usr/bin:/bin",
                "HOME": str(tmp_path),
            },
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert await asyncio.wait_for(process.wait(), 60) == 0

    return execute


async def test_the_script_makes_a_process_with_instances_of_a_deployment(
    settings: Settings, operator_token: str, kube: Kube, space: str, give_to_a_shell: Callable[[list[str]], Any]
) -> None:
    await kube.create(without_labels("storefront", space))
    before = await kube.get(space, "storefront")
    lines = await of_space(settings, space)
    assert [line.split()[3] for line in lines] == ["label", "patch"]
    assert (await kube.get(space, "storefront"))["metadata"].get("labels") == before["metadata"].get("labels")
    # The whole of it is a script, not only the commands; of other tests' namespaces nothing is to be changed here.
    script = [line for line in await suggested(settings) if line.startswith("#") or line in lines or not line]
    async with running(settings, token=operator_token) as api:
        await give_to_a_shell(script)
        found = await the_process(api, space)
        assert found["type"] == "web"

        async def running_() -> bool:
            stats = await api.get(f"/v3/processes/{found['guid']}/stats")
            return stats.status == 200 and [row["state"] for row in stats.json["resources"]] == ["RUNNING"]

        await eventually(running_)
    labels = (await kube.get(space, "storefront"))["metadata"]["labels"]
    assert labels[KEYS.app_guid] == found["relationships"]["app"]["data"]["guid"]
    assert await of_space(settings, space) == []


async def the_process(api: Api, space: str) -> Any:
    """The only process of a namespace."""

    async def listed() -> bool:
        return bool((await api.get(f"/v3/processes?space_guids={space}")).json["resources"])

    await eventually(listed)
    (found,) = (await api.get(f"/v3/processes?space_guids={space}")).json["resources"]
    return found


async def test_the_same_is_suggested_each_time(settings: Settings, kube: Kube, space: str) -> None:
    await kube.create(without_labels("one", space))
    await kube.create(without_labels("other", space))
    lines = await of_space(settings, space)
    assert lines == await of_space(settings, space)
    guids = re.findall(rf"{re.escape(KEYS.app_guid)}=(\S+)", " ".join(lines))
    assert len(set(guids)) == 2


async def test_a_type_that_is_labelled_already_stays(settings: Settings, kube: Kube, space: str) -> None:
    manifest = without_labels("worker", space, keep=(KEYS.process_type,))
    manifest["metadata"]["labels"][KEYS.process_type] = "worker"
    await kube.create(manifest)
    label, _ = await of_space(settings, space)
    assert KEYS.app_guid in label
    assert KEYS.process_type not in label


async def test_a_process_whose_pods_are_not_labelled_needs_its_template_changed_alone(
    settings: Settings, kube: Kube, space: str
) -> None:
    manifest = deployment("half", space, guid := str(uuid4()))
    del manifest["spec"]["template"]["metadata"]["labels"][KEYS.app_guid]
    await kube.create(manifest)
    (line,) = await of_space(settings, space)
    assert line.split()[3:5] == ["patch", "deployment/half"]
    assert guid in line


async def test_nothing_is_suggested_for_what_is_a_process_already_or_is_kubernetes_own(
    settings: Settings, kube: Kube, space: str
) -> None:
    await kube.create(deployment("labelled", space, str(uuid4())))
    await kube.create(without_labels("of-the-system", "kube-system"))
    try:
        lines = await suggested(settings)
    finally:
        await kube.delete("kube-system", "of-the-system")
    assert not [line for line in lines if space in line or "kube-system" in line]


async def test_other_label_keys_are_suggested_where_they_are_set(settings: Settings, kube: Kube, space: str) -> None:
    await kube.create(without_labels("app", space))
    label, patch = await of_space(replace(settings, label_preset="korifi"), space)
    assert "korifi.cloudfoundry.org/app-guid=" in label
    assert '"korifi.cloudfoundry.org/app-guid":' in patch


async def test_the_command_prints_nothing_but_the_script(
    stack: Stack, database_url: str, kube: Kube, space: str
) -> None:
    await kube.create(without_labels("printed", space))
    status, out, err = await run(
        "check", "--suggest-labels", DATABASE_URL=database_url, KUBECONFIG=str(stack.service_kubeconfig)
    )
    assert (status, err) == (0, "")
    assert all(line.startswith(("#", "kubectl --namespace ")) or not line for line in out.splitlines())
    assert f"kubectl --namespace {space} label --overwrite deployment/printed" in out


async def test_who_may_not_list_deployments_is_told_so(
    settings: Settings, stack: Stack, kube: Kube, tmp_path: Path
) -> None:
    nobody = tmp_path / "kubeconfig"
    nobody.write_text(stack.control_plane.kubeconfig_for(await kube.token_of_new_user()))
    with pytest.raises(SuggestionFailed, match=r"^The cluster's Deployments cannot be listed: .*403"):
        await suggested(replace(settings, kubeconfig=str(nobody)))
