"""`make run`: the stack, the demo in it and the service over it, until a signal or the service's end."""

import asyncio
import contextlib
import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import binaries, demo
from .control_plane import ControlPlane
from .errors import LocalStackError
from .keeper import SERVICE_PID, keep
from .ports import PortBlock, is_free
from .postgres import Postgres
from .processes import environment, spawn, wait_until
from .stack import admit_service, require_linux, write_private

_REPOSITORY = Path(__file__).parents[2]
_DIRECTORY = _REPOSITORY / ".local"
_NODES = 4
_SERVICE_START_S = 60.0


@dataclass(frozen=True)
class _Served:
    """What the service is run over."""

    kubeconfig: str
    database_url: str
    control_plane: ControlPlane | None
    """None: an existing cluster, which is left as it is."""
    management_port: int


def run() -> None:
    """Serve until an exception ends it. Raises LocalStackError where something cannot start, or ends by itself."""
    require_linux()
    begun = time.monotonic()
    port, management_port = _port("PORT") or 8080, _port("MANAGEMENT_PORT")
    with keep(_DIRECTORY), _served(port, management_port) as served:
        if served.control_plane:
            with _step("putting demo apps into the cluster"):
                demo.load(served.control_plane)
            _hand_out_tokens(served.control_plane)
        write_private(_DIRECTORY / "database-url", served.database_url)
        env = environment(
            _DIRECTORY,
            KUBECONFIG=served.kubeconfig,
            DATABASE_URL=served.database_url,
            HOST="127.0.0.1",
            PORT=str(port),
            MANAGEMENT_HOST="127.0.0.1",
            MANAGEMENT_PORT=str(served.management_port),
        )
        with _step("putting metadata into Postgres"):
            _migrate(env)
            if served.control_plane:
                asyncio.run(demo.load_metadata(served.database_url))
        service = _start_service(env, served.management_port)
        if service.poll() is None:
            url, management_url = (f"http://127.0.0.1:{number}" for number in (port, served.management_port))
            write_private(_DIRECTORY / "url", url)
            write_private(_DIRECTORY / "management-url", management_url)
            if served.control_plane:
                # The Pods of deploy/overlays, where somebody applies one: this is what would run in them.
                served.control_plane.forward("processes", {8080: port, 9090: served.management_port})
            _say(f"ready after {time.monotonic() - begun:.1f} s")
            _announce(url, management_url, served)
        raise LocalStackError(f"the service ended with exit code {service.wait()}")


def _hand_out_tokens(control_plane: ControlPlane) -> None:
    """A file for each person's token, and a kubeconfig with them all, as the cf CLI wants one."""
    tokens = {account: control_plane.create_token("demo-users", account) for account in ("operator", "viewer")}
    write_private(_DIRECTORY / "token", tokens["operator"])
    write_private(_DIRECTORY / "token-viewer", tokens["viewer"])
    write_private(_DIRECTORY / "people-kubeconfig", control_plane.kubeconfig_of(tokens))


def _start_service(env: Mapping[str, str], management_port: int) -> "subprocess.Popen[bytes]":
    """The service, once it is ready or has ended. Raises LocalStackError after a while."""
    with _step("starting the service"):
        service = spawn(
            [sys.executable, "-m", "service", "serve"], pid_file=_DIRECTORY / SERVICE_PID, env=env, cwd=_REPOSITORY
        )
        if not wait_until(lambda: service.poll() is not None or _is_ready(management_port), _SERVICE_START_S):
            raise LocalStackError(f"the service is not ready after {_SERVICE_START_S:.0f} s")
    return service


@contextlib.contextmanager
def _step(what: str) -> Iterator[None]:
    """Say what is being done, and in the end how long it took."""
    started = time.monotonic()
    _say(f"{what} …")
    yield
    _say(f"  done in {time.monotonic() - started:.1f} s")


def _port(variable: str) -> int | None:
    given = os.environ.get(variable)
    if not given:
        return None
    if not given.isascii() or not given.isdigit() or not 0 < int(given) < 65536:
        raise LocalStackError(f"{variable}={given} is not a port: give a number from 1 to 65535")
    return int(given)


@contextlib.contextmanager
def _served(port: int, management_port: int | None) -> Iterator[_Served]:
    """Start what KUBECONFIG and DATABASE_URL do not give. `keep` ends it."""
    # Not earlier: the service of a crashed run may have held them.
    for variable, number in (("PORT", port), ("MANAGEMENT_PORT", management_port)):
        if number and not is_free(number):
            raise LocalStackError(f"port {number} on 127.0.0.1 is taken: give another one, {variable}=…")
    kubeconfig = os.environ.get("KUBECONFIG", "")
    database_url = os.environ.get("DATABASE_URL", "")
    if kubeconfig:
        missing = [path for path in kubeconfig.split(os.pathsep) if path and not Path(path).is_file()]
        if missing:
            raise LocalStackError(f"KUBECONFIG={kubeconfig}: no file {', '.join(missing)}")
        _say(f"using the cluster of KUBECONFIG={kubeconfig}: nothing is created there, neither roles nor the demo")
    if database_url:
        _say("using the database of DATABASE_URL")
    with contextlib.closing(PortBlock()) as ports:
        control_plane = begun = None
        if not kubeconfig:
            control_plane = ControlPlane(_DIRECTORY, binaries.find_or_build(), ports, metrics=True)
            _say("Kubernetes begins to start …")
            begun = control_plane.begin()
        if not database_url:
            with _step("starting Postgres beside it"):
                postgres = Postgres(_DIRECTORY, ports.take())
                postgres.create()
                database_url = postgres.url
        if control_plane and begun:
            with _step("waiting for Kubernetes, and adding simulated nodes"):
                control_plane.finish(begun, nodes=_NODES)
                kubeconfig = str(admit_service(control_plane, _DIRECTORY))
        yield _Served(kubeconfig, database_url, control_plane, management_port or ports.take())


def _migrate(env: dict[str, str]) -> None:
    migrated = subprocess.run([sys.executable, "-m", "service", "migrate"], cwd=_REPOSITORY, env=env, check=False)
    if migrated.returncode:
        raise LocalStackError(f"the service's migrations failed ({migrated.returncode})")


def _is_ready(management_port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", management_port, timeout=5.0)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


def _announce(url: str, management_url: str, served: _Served) -> None:
    _say(f"\nserving at {url}, stop with Ctrl-C; {management_url}/readyz and /metrics say how it does\n")
    if served.control_plane:
        _say(f"  token of one who may do everything   {_shown('token')}")
        _say(f"  token of one who may read one space  {_shown('token-viewer')}")
        _say(f"  a kubeconfig of both, for the cf CLI {_shown('people-kubeconfig')}")
        _say(f"  the cluster admin's kubeconfig       {_shown('kubeconfig')}\n")
        token, path = f"$(cat {_shown('token')})", f"/v3/apps/{demo.SHOP}/processes"
    else:
        _say("  TOKEN: of an account of that cluster, such as from kubectl create token NAME --namespace NAMESPACE\n")
        token, path = "$TOKEN", "/v3/processes"
    _say(f'  curl -H "Authorization: Bearer {token}" {url}{path}\n')


def _shown(name: str) -> str:
    """As to be typed where `make run` was."""
    return os.path.relpath(_DIRECTORY / name)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone
        print(text, flush=True)
