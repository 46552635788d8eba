"""Jobs as runs leave them, put into the store of a folder in a few words."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from batcher.domain.jobs import Job, RunnerSnapshot
from batcher.domain.requests import Claim
from batcher.domain.settlements import Settlement
from batcher.store.jobs import jobs
from batcher.store.queue import runners
from batcher.store.sqlite.database import Database
from batcher.store.sqlite.file_locks import RunnerLock
from tests.support.stores import START, Row, completed, dead_lettered, holder_of, job_now, open_store, submit_rows


@cache
def _new_store() -> bytes:
    """A store without jobs, made once: its migrations cost more than most tests."""
    with TemporaryDirectory() as folder:
        open_store(Path(folder)).close()
        return (Path(folder) / "batcher.db").read_bytes()


@contextmanager
def store_in(folder: Path) -> Iterator[Database]:
    """The store of the folder, made where there is none."""
    path = folder / "batcher.db"
    if not path.exists():
        path.write_bytes(_new_store())
    database = Database(path)
    try:
        yield database
    finally:
        database.close()


def rows(answered: int = 0, dead: int = 0, pending: int = 0) -> list[Row]:
    """In this order, each with a body like no other."""
    named = [*(f"good-{n}" for n in range(answered)), *(f"bad-{n}" for n in range(dead))]
    named += [f"open-{n}" for n in range(pending)]
    return [Row(name, body=b'{"model": "m", "user": "%s"}' % name.encode()) for name in named]


def ending(held: Claim, *, code: str, status: int) -> Settlement | None:
    """What becomes of a row by its name; None: it stays in flight."""
    if held.custom_id.startswith("good"):
        return completed(held, b'{"answer": "%s"}' % held.custom_id.encode())
    if held.custom_id.startswith("bad"):
        return dead_lettered(held, code, status=status, reply=b'{"error": {"message": "no"}}')
    return None


def run_job(
    folder: Path,
    of: Sequence[Row],
    *,
    name: str = "job",
    code: str = "bad_request",
    status: int = 400,
    **settings: Any,
) -> Job:
    """A job whose rows have ended as their names say; those that are open are pending."""
    with store_in(folder) as database:
        job = submit_rows(database, of, name=name, **settings)
        holder = holder_of(database)
        closing = [row for row in of if not row.custom_id.startswith("open")]
        if closing:
            claims = holder.claim(job, most=len(closing)).claims
            ends = [ending(held, code=code, status=status) for held in claims]
            holder.settle(*(end for end in ends if end is not None))
        with database.write() as connection:
            jobs.start(connection, job.id, now=START)
            jobs.finish(connection, [job.id], now=START)
            if len(closing) < len(of):
                jobs.want_only(connection, [])
        return job_now(database, job)


def claimed_by_a_runner(folder: Path, job: Job, *, claimed: int, sending: int) -> None:
    """A runner has so many of the job's rows in hand, and last told that so many of them are out."""
    told = RunnerSnapshot(jobs=[job.id], in_flight=sending, rates={}, sending={job.id: sending})
    with store_in(folder) as database:
        with database.write() as connection:
            jobs.want(connection, [job.id])
        holder = holder_of(database)
        holder.claim(job, most=claimed)
        with database.write() as connection:
            runners.beat(connection, holder.id, now=START, snapshot=told)


@contextmanager
def live_runner(folder: Path) -> Iterator[None]:
    """Somebody holds the runner's lock of the folder's store."""
    lock = RunnerLock(folder / "batcher.db")
    lock.acquire()
    try:
        yield
    finally:
        lock.close()
