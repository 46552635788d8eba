"""The pieces in the store: rows in, claim, settle, results out. Each turn has a store of its own."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from batcher.domain.ids import JobId
from batcher.domain.jobs import Job
from batcher.domain.requests import Claim, Line
from batcher.domain.settlements import Settlement
from batcher.services.results.export import answered_lines
from batcher.store.jobs import jobs, loading
from batcher.store.queue import claim, settle
from batcher.store.sqlite.database import Database
from tests.benchmarks.speed.alone.costing import TURNS, Piece, cpu, exhaust, groups, per_row
from tests.benchmarks.speed.alone.door import parsed, prepared
from tests.benchmarks.speed.bench import CONCURRENCY
from tests.benchmarks.speed.provider import REPLY
from tests.support import stores

#: As `services/submitting.py` stores them.
_CHUNK: Final = 6_000
_SMALL: Final = 8
_DOES: Final = {
    "store": f"rows and bodies put in, {_CHUNK:,} a transaction",
    "claim": f"{CONCURRENCY} rows a transaction, bodies read",
    "settle": f"{CONCURRENCY} answers a transaction: response, cache, attempt, row",
    "settle by 8": f"the same, {_SMALL} a transaction: what small groups cost",
    "export": "result lines made from the store",
}


def pieces(file: Path) -> list[Piece]:
    """What a row of the file costs in the store, from its way in to its way out."""
    lines = prepared(parsed(file.read_bytes().splitlines()))
    turns = [_turn(lines, file.parent) for _ in range(TURNS)]
    return [
        Piece(name=name, does=does, cost=per_row(min(turn[name] for turn in turns), _rows(name, len(lines))))
        for name, does in _DOES.items()
    ]


def _rows(name: str, rows: int) -> int:
    return rows // 2 if name.startswith("settle") else rows


def _turn(lines: Sequence[Line], folder: Path) -> dict[str, float]:
    with TemporaryDirectory(dir=folder) as place:
        database = stores.open_store(Path(place))
        try:
            return _through(database, lines)
        finally:
            database.close()


def _through(database: Database, lines: Sequence[Line]) -> dict[str, float]:
    """CPU seconds of each step, one after another on one store."""
    spent: dict[str, float] = {}

    def step(name: str, work: Callable[[], object]) -> None:
        spent[name] = cpu(work)

    job_id = stores.begin_job(database)
    step("store", lambda: _put_in(database, job_id, lines))
    job = _job(database, job_id)
    holder = stores.holder_of(database)
    taken: list[Claim] = []
    step("claim", lambda: _claim_all(database, job, holder, taken))
    answers = [stores.completed(each, REPLY.encode()) for each in taken]

    def settle_all(answers: Sequence[Settlement], at_once: int) -> None:
        for group in groups(answers, at_once):
            with database.write() as connection:
                settle.settle(connection, group, holder=holder.id, now=stores.START)

    half = len(answers) // 2
    step("settle", lambda: settle_all(answers[:half], CONCURRENCY))
    step("settle by 8", lambda: settle_all(answers[half:], _SMALL))
    step("export", lambda: exhaust(answered_lines(database, job)))
    return spent


def _put_in(database: Database, job_id: JobId, lines: Sequence[Line]) -> None:
    routes = loading.Routes(job_id)
    for chunk in groups(lines, _CHUNK):
        with database.write() as connection:
            loading.add(connection, job_id, routes, chunk, with_bodies=True)
    with database.write() as connection:
        loading.open_job(connection, job_id)


def _job(database: Database, job_id: JobId) -> Job:
    with database.read() as connection:
        return jobs.get(connection, job_id)


def _claim_all(database: Database, job: Job, holder: stores.Holder, taken: list[Claim]) -> None:
    wants = stores.wants(stores.routes_of(database, job), CONCURRENCY)
    while True:
        with database.write() as connection:
            found = claim.claim(
                connection, wants, holder=holder.id, now=stores.START, most_bytes=stores.PLENTY
            ).claims
        if not found:
            return
        taken += found
