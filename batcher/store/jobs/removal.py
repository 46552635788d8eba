"""Removes requests with everything that belongs to them alone."""

from typing import Any

from sqlalchemy import Connection, text

from batcher.domain.ids import JobId


def remove_requests(connection: Connection, job_id: JobId, found: list[tuple[Any]]) -> None:
    """Remove these requests of a job, their bodies, their attempts, and the answers that no other request uses."""
    connection.execute(text("CREATE TEMP TABLE IF NOT EXISTS doomed (id INTEGER PRIMARY KEY)"))
    connection.execute(text("DELETE FROM doomed"))
    connection.exec_driver_sql("INSERT INTO doomed VALUES (?)", found)
    _note_answers(connection)
    own_answers = "SELECT response_id FROM requests WHERE id IN (SELECT id FROM doomed)"
    connection.execute(
        text(
            "UPDATE responses SET origin_job = :job, origin_custom_id ="
            " (SELECT custom_id FROM requests WHERE requests.id = responses.request_id)"
            f" WHERE id IN ({own_answers}) AND request_id IN (SELECT id FROM doomed)"
        ),
        {"job": job_id},
    )
    for table in ("bodies", "former_bodies", "attempts"):
        connection.execute(text(f"DELETE FROM {table} WHERE request_id IN (SELECT id FROM doomed)"))
    connection.execute(text("DELETE FROM unshared_ends WHERE leader_id IN (SELECT id FROM doomed)"))
    connection.execute(text("DELETE FROM requests WHERE id IN (SELECT id FROM doomed)"))
    _drop_unused_answers(connection)


def _note_answers(connection: Connection) -> None:
    """Collect the answers of the requests to be removed, each with its key in the cache."""
    connection.execute(
        text(
            "CREATE TEMP TABLE IF NOT EXISTS freed (id INTEGER PRIMARY KEY, cache_scope INTEGER, fingerprint BLOB)"
        )
    )
    connection.execute(text("DELETE FROM freed"))
    connection.execute(
        text(
            "INSERT OR IGNORE INTO freed"
            " SELECT responses.id, coalesce(endpoints.cache_scope, endpoints.id), requests.fingerprint"
            " FROM doomed JOIN requests ON requests.id = doomed.id JOIN responses"
            " ON responses.id = requests.response_id JOIN endpoints ON endpoints.id = responses.endpoint_id"
        )
    )


def _drop_unused_answers(connection: Connection) -> None:
    """Remove those of the answers that no request uses any more, also from the cache.

    Not only the deleted job's own answers: it may have been the last to share an answer of a job deleted before.
    An answer is used by the request that was sent for it, and by those that share it, which an index knows.
    """
    connection.execute(
        text(
            "DELETE FROM freed WHERE EXISTS (SELECT 1 FROM requests WHERE cached = 1 AND response_id = freed.id)"
            " OR EXISTS (SELECT 1 FROM responses JOIN requests ON requests.id = responses.request_id"
            " WHERE responses.id = freed.id AND requests.response_id = freed.id)"
        )
    )
    gone = connection.execute(text("SELECT cache_scope, fingerprint, id FROM freed WHERE fingerprint IS NOT NULL"))
    keys = [tuple(row) for row in gone]
    if keys:
        # One by one: with a subquery, SQLite scans everything that the endpoint has in the cache.
        connection.exec_driver_sql(
            "DELETE FROM cache WHERE cache_scope = ? AND fingerprint = ? AND response_id = ?", keys
        )
    connection.execute(text("DELETE FROM responses WHERE id IN (SELECT id FROM freed)"))
