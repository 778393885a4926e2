"""The counter that stamps rows: whether it is as it should be, and how it is put right.

Everything rests on its only ever going up, and on no row having a stamp above it. Somebody may have removed it, turned
it back, or restored rows without it. Then no replica can tell any more what it has not seen, so that each row gets a
new stamp: all replicas read all of them again, and nothing is lost.
"""

from service.store import statements
from service.store.database import Connection
from service.telemetry import get_logger

log = get_logger(__name__)


async def ensure_counter(connection: Connection) -> None:
    """Put the counter right if it is not. Others who write wait meanwhile; nobody who reads does."""
    if await connection.fetchval(statements.COUNTER_IS_RIGHT):
        return
    async with connection.transaction():
        # Whoever writes has locked the table less strictly until they commit: from here on nobody does.
        await connection.execute("LOCK TABLE process_metadata IN SHARE ROW EXCLUSIVE MODE")
        if await connection.fetchval(statements.COUNTER_IS_RIGHT):
            return
        value = await connection.fetchval(statements.RESTORE_COUNTER)
        await connection.execute(statements.STAMP_ALL, value)
    log.warning("counter of metadata put right, rows stamped anew", value=value)
