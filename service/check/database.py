"""Checks of Postgres: can it be reached, what may our role do there, and is its schema the one we need?"""

from service.check.report import Clock, Report, count, few
from service.settings import Settings
from service.store import inspection
from service.store.database import Connection, DatabaseUnavailable, SchemaMismatch, connected, migrations

_ADVICE = {
    "InvalidPasswordError": "the role or the password in DATABASE_URL is not the one that Postgres knows",
    "InvalidAuthorizationSpecificationError": "let the role of DATABASE_URL in from here: pg_hba.conf",
    "InvalidCatalogNameError": "create the database, or name another one in DATABASE_URL",
    "gaierror": "the name of the host in DATABASE_URL is not known here",
}
"""What to do about a reason for which the database cannot be used."""


async def check_database(settings: Settings, report: Report, wall_clock: Clock) -> None:
    """Report on the database that the settings name."""
    where = inspection.address(settings.database_url)
    try:
        async with connected(settings.database_url, settings.database_timeout_s) as connection:
            found = await inspection.inspect(connection, wall_clock)
            report.ok("database", f"{where} answers: PostgreSQL {found.version}")
            report.clock("Postgres", found.ahead_s)
            _report_role(found, report)
            await _check_schema(connection, found, report)
    except DatabaseUnavailable as error:
        advice = _ADVICE.get(error.reason, "does Postgres run there, and can it be reached from here?")
        report.miss("database", f"{where} cannot be used: {error.reason}", advice)


def _report_role(found: inspection.Database, report: Report) -> None:
    if found.read_only:
        report.miss("role", f"{found.role} can only read", "name the primary in DATABASE_URL, not a standby")
    elif found.lacking:
        advice = "; ".join(f"GRANT {privilege} TO {found.role}" for privilege in found.lacking)
        report.miss("role", f"{found.role} has no {', '.join(found.lacking)}", advice)
    else:
        report.ok("role", f"{found.role} may read, write and {'' if found.may_create else 'not '}migrate")


async def _check_schema(connection: Connection, found: inspection.Database, report: Report) -> None:
    try:
        missing = await inspection.unapplied(connection)
    except SchemaMismatch as error:
        report.miss("schema", str(error), "it was made by another version or program: name another database")
        return
    except DatabaseUnavailable as error:
        report.miss("schema", f"cannot be read: {error.reason}", "let the role read schema_migration")
        return
    if not missing:
        report.ok("schema", f"up to date: {count(len(migrations()), 'migration')} applied")
        return
    text = f"{count(len(missing), 'migration')} to be applied: {few([f'{m.number:04} {m.name}' for m in missing])}"
    if found.may_create and not found.read_only:
        report.warn("schema", text, "`python -m service serve` does so when it starts, `migrate` does so at once")
    else:
        report.miss("schema", text, "run `python -m service migrate` as a role that may create tables")
