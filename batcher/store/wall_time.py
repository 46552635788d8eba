"""A clock that was ahead and is right again: what it made wait must not wait that much longer."""

from sqlalchemy import Connection, func, select, update

from batcher.store.tables import holders, lanes, requests


def set_back(connection: Connection, *, now: int) -> int:
    """Bring times that lie ahead nearer, by as much as the last runner lived ahead of `now`; returns that, in µs.

    The caller holds the runner's lock, and has not yet begun.
    """
    latest = connection.execute(select(func.max(holders.c.heartbeat_at))).scalar_one()
    ahead = 0 if latest is None else max(0, int(latest) - now)
    if not ahead:
        return 0
    for table, column in ((requests, requests.c.available_at), (lanes, lanes.c.cooling_until)):
        connection.execute(update(table).where(column > now).values({column: column - ahead}))
    connection.execute(update(holders).where(holders.c.heartbeat_at > now).values(heartbeat_at=now))
    return ahead
