"""`python -m service VERB`: serve the API, look after the database, check the configuration, or print the document."""

import argparse
import asyncio
import os
import signal
import sys

from service import app, environment, telemetry
from service.api.document import Document
from service.api.routes import RESOURCES
from service.check import check
from service.check.suggestions import SuggestionFailed, suggest_labels
from service.cluster.configuration import NoCluster
from service.environment import InvalidSettings
from service.http.connections import MANAGEMENT_CONNECTIONS, Limits
from service.http.keys import HEALTH, TRAFFIC
from service.http.server import listening
from service.prune import PruneFailed, prune
from service.settings import Settings
from service.store.database import DatabaseUnavailable, SchemaMismatch, connected, migrate

EXIT_CONFIGURATION = 2
PROBE_S = 1.0
"""How long a probe or a scrape under way may take to finish."""


async def serve(configured: Settings) -> int:
    """Answer requests until SIGTERM or SIGINT, then let those under way finish."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    api = app.build(configured)
    management = app.build_management(api)
    # Probes first in and last out: they tell of loading, and of stopping for as long as that takes.
    async with (
        listening(
            management,
            configured.management_host,
            configured.management_port,
            limits=Limits.of(configured, connections=MANAGEMENT_CONNECTIONS),
            shutdown_timeout_s=PROBE_S,
        ) as management_addresses,
        listening(
            api,
            configured.host,
            configured.port,
            limits=Limits.of(configured),
            shutdown_timeout_s=configured.shutdown_timeout_s,
        ) as api_addresses,
    ):
        telemetry.get_logger(__name__).info("listening", api=api_addresses, management=management_addresses)
        await stop.wait()
        api[HEALTH].stop()
        api[TRAFFIC].drain()
        await asyncio.sleep(configured.drain_s)
    return 0


async def migrate_database(configured: Settings) -> int:
    """Bring the schema up to date and say what was done."""
    async with connected(configured.database_url, configured.database_timeout_s) as connection:
        applied = await migrate(connection)
    for migration in applied:
        print(f"applied {migration.number:04} {migration.name}")
    if not applied:
        print("the schema is up to date")
    return 0


async def check_configuration(configured: Settings) -> int:
    """Say what is well, what is missing and what to do about it."""
    return await check(configured, lambda finding: print(finding, flush=True))


async def print_suggestions(configured: Settings) -> int:
    """Print what makes processes of the Deployments that run unlabelled."""
    await suggest_labels(configured, lambda line: print(line, flush=True))
    return 0


def print_document() -> int:
    """Print the API's document, which needs neither a cluster nor a database."""
    print(Document(RESOURCES, Settings().uids).encode("/").decode())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("serve", help="answer requests until SIGTERM or Ctrl-C")
    verbs.add_parser("migrate", help="bring the database schema up to date, and exit")
    pruning = verbs.add_parser("prune", help="remove the metadata of processes that have been gone for long, and exit")
    pruning.add_argument("--dry-run", action="store_true", help="only say what would be removed, and change nothing")
    checking = verbs.add_parser("check", help="say whether these settings can work, change nothing, and exit")
    checking.add_argument(
        "--suggest-labels", action="store_true", help="print instead the commands that make processes of Deployments"
    )
    verbs.add_parser("openapi", help="print the API's OpenAPI document, as it is with the default settings")
    return parser


def main() -> int:
    """The exit status: 0, 1 when something is away or in the way, 2 when the settings are wrong."""
    arguments = _parser().parse_args()
    if arguments.verb == "openapi":
        return print_document()
    try:
        configured = environment.load(os.environ)
    except InvalidSettings as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIGURATION
    # What the parts would log while they are looked at is in the report.
    quiet = arguments.verb in ("check", "prune")
    telemetry.configure_logging("error" if quiet else configured.log_level)
    try:
        return _run(_work(arguments, configured))
    except NoCluster as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIGURATION
    except DatabaseUnavailable as error:
        print(f"DATABASE_URL: the database cannot be used now: {error.reason}", file=sys.stderr)
    except (SchemaMismatch, PruneFailed, SuggestionFailed, OSError) as error:
        print(error, file=sys.stderr)
    return 1


def _work(arguments: argparse.Namespace, configured: Settings) -> "asyncio._CoroutineLike[int]":
    if arguments.verb == "prune":
        return prune(configured, lambda line: print(line, flush=True), dry_run=arguments.dry_run)
    if arguments.verb == "check" and arguments.suggest_labels:
        return print_suggestions(configured)
    return {"serve": serve, "migrate": migrate_database, "check": check_configuration}[arguments.verb](configured)


def _run(work: "asyncio._CoroutineLike[int]") -> int:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)  # type: ignore[arg-type]
    return uvloop.run(work)  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
