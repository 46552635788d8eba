"""Chooses leaders while a job is loaded: the first row of each fingerprint, which the others follow.

It is done in chunks, one transaction each, before the job is shown: no one else uses its rows yet, and those who
wait for the store wait for one chunk. If the loader is killed, the half-loaded job is removed.
"""

from collections.abc import Callable, Collection, Iterator
from functools import partial

from msgspec import Struct
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.schema import CreateTable

from batcher.domain.ids import JobId, RequestId
from batcher.store.compiled import Compiled
from batcher.store.dialect import insert_new
from batcher.store.jobs.id_range import of_job
from batcher.store.schema import requests

#: Rows of a chunk.
ROWS = 20_000
#: Up to this share of possibly repeated rows, looking up each row in their list costs less than remembering all.
_FEW = 8
#: Temporary tables of this connection, never in the file: the fingerprints that may occur more than once, the rows
#: of a chunk that have one of these, and the first row of each fingerprint so far.
_tables = MetaData()
_repeated = Table(
    "repeated",
    _tables,
    Column("fingerprint", LargeBinary, primary_key=True),
    prefixes=["TEMPORARY"],
    sqlite_with_rowid=False,
)
_candidates = Table(
    "candidates",
    _tables,
    Column("id", Integer, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    prefixes=["TEMPORARY"],
)
_first = Table(
    "first_of",
    _tables,
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("id", Integer, nullable=False),
    prefixes=["TEMPORARY"],
    sqlite_with_rowid=False,
)
_chunk = (
    requests.c.id.between(bindparam("from_"), bindparam("to_")),
    of_job(requests.c.job_id) == bindparam("job"),
    requests.c.fingerprint.is_not(None),
)
_rows = select(requests.c.fingerprint, requests.c.id).where(*_chunk).order_by(requests.c.id)
_note_first = Compiled(
    insert_new(_first).from_select(["fingerprint", "id"], _rows),
    "from_",
    "to_",
    "job",
)
_follow = Compiled(
    update(requests)
    .where(*_chunk, requests.c.fingerprint == _first.c.fingerprint, requests.c.id != _first.c.id)
    .values(leader_id=_first.c.id),
    "from_",
    "to_",
    "job",
)
# Where few rows are candidates, only the first of these statements looks at every row of a chunk.
_is_candidate = requests.c.fingerprint.in_(select(_repeated.c.fingerprint))
_note_candidates = Compiled(
    insert(_candidates).from_select(
        ["id", "fingerprint"], select(requests.c.id, requests.c.fingerprint).where(*_chunk, _is_candidate)
    ),
    "from_",
    "to_",
    "job",
)
_note_first_candidates = Compiled(
    insert_new(_first).from_select(
        ["fingerprint", "id"], select(_candidates.c.fingerprint, _candidates.c.id).order_by(_candidates.c.id)
    )
)
_candidates_follow = Compiled(
    update(requests)
    .where(
        requests.c.id.in_(select(_candidates.c.id)),
        requests.c.fingerprint == _first.c.fingerprint,
        requests.c.id != _first.c.id,
    )
    .values(leader_id=_first.c.id)
)
_forget_candidates = Compiled(delete(_candidates))


class Extent(Struct, frozen=True, kw_only=True):
    """The ids of a job's first and last request, None if it has none, and how many there are."""

    first: RequestId | None
    last: RequestId | None
    total: int


def extent(connection: Connection, job_id: JobId) -> Extent:
    """Return which requests a job has that is being loaded."""
    first, last, total = connection.execute(
        select(func.min(requests.c.id), func.max(requests.c.id), func.count()).where(requests.c.job_id == job_id)
    ).one()
    return Extent(first=first, last=last, total=total)


def steps(job_id: JobId, of: Extent, repeats: Collection[bytes] | None) -> Iterator[Callable[[Connection], int]]:
    """Yield what is to be done, in this order and on one connection; each step returns how many rows follow by it.

    `repeats` are fingerprints that may occur more than once, and include all that do; None: any may.
    """
    few = repeats is not None and len(repeats) <= of.total // _FEW
    if of.first is None or of.last is None or (few and not repeats):
        return
    yield partial(_prepare, repeats if few and repeats is not None else ())
    for first in range(of.first, of.last + 1, ROWS):
        yield partial(_choose, job_id, first, min(of.last, first + ROWS - 1), few)
    yield partial(_prepare, ())


def _prepare(repeats: Collection[bytes], connection: Connection) -> int:
    for table in (_repeated, _candidates, _first):
        connection.execute(CreateTable(table, if_not_exists=True))
        connection.execute(table.delete())
    if repeats:
        connection.execute(insert(_repeated), [{"fingerprint": each} for each in repeats])
    return 0


def _choose(job_id: JobId, first: int, last: int, few: bool, connection: Connection) -> int:
    if not few:
        _note_first.run(connection, first, last, job_id)
        return _follow.run(connection, first, last, job_id)
    if not _note_candidates.run(connection, first, last, job_id):
        return 0
    _note_first_candidates.run(connection)
    followers = _candidates_follow.run(connection)
    _forget_candidates.run(connection)
    return followers
