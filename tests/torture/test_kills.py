"""SIGKILL at random moments in everything the program does; what it then holds against what the provider saw."""

import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from batcher.store.jobs import jobs
from batcher.store.reports import results
from batcher.store.sqlite import migrate
from batcher.store.sqlite.database import APPLICATION_ID
from tests.support.commands import batcher, job_file
from tests.support.programs import Provider, Running, provider_process, rows_of, running
from tests.torture.forms import CONCURRENCY, FORM, SEED, draws, patient
from tests.torture.ledger import STORE, Ledger, check_counts, looked_into, mixed_rows, row, whole_or_absent

pytestmark = [pytest.mark.usefixtures("folder"), patient]

_LOG = Path("batcher.db-wal")


def written_to(program: Running, path: Path, *, grown_by: int = 1) -> None:
    """Until the file has grown by so much since now, or the program is over."""
    before = _size(path)
    while not program.is_over and abs(_size(path) - before) < grown_by:
        time.sleep(0.0005)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def make_old(store: Path) -> None:
    """Take the store back to the first schema: what it holds, as far as that has a place for it."""
    newer = store.with_suffix(".newer")
    store.rename(newer)
    config = Config()
    config.set_main_option("script_location", str(migrate.scripts()))
    with create_engine(f"sqlite:///{store}").begin() as config.attributes["connection"]:
        command.upgrade(config, "0001")
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("ATTACH ? AS newer", (str(newer),))
        tables = connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            columns = ", ".join(_columns(connection, "main", table) & _columns(connection, "newer", table))
            if table != "alembic_version":
                copy = f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}"  # noqa: S608 - our own names
                connection.execute(copy)


def _columns(connection: sqlite3.Connection, schema: str, table: str) -> set[str]:
    return {row[1] for row in connection.execute(f"PRAGMA {schema}.table_info({table})")}


class Kills:
    """One store, one provider; every method does something to it and kills the program amid it."""

    def __init__(self, ledger: Ledger, server: Provider, rng: random.Random) -> None:
        self.ledger = ledger
        self.server = server
        self.rng = rng
        self.struck: Counter[str] = Counter()
        self._sides = 0

    def run(self) -> None:
        """Amid the run, some requests further than where the last kill left it."""
        share = min(2 * self.ledger.lost // max(1, FORM.kills - self.ledger.kills), self.ledger.lost // 2)
        goal = self.server.requests + self.rng.randrange(1, max(2, share))
        with running("resume", self.ledger.job, "--concurrency", CONCURRENCY) as program:
            while not program.is_over and self.server.requests < goal:
                time.sleep(0.002)
            time.sleep(self.rng.uniform(0, 0.05))
            self._strike(program)

    def start(self) -> None:
        """While a run begins: rescue, first claim, first sends."""
        with running("resume", self.ledger.job, "--concurrency", CONCURRENCY) as program:
            time.sleep(self.rng.uniform(0.2, 0.8))
            self._strike(program)

    def settle(self) -> None:
        """Right when something is written."""
        with running("resume", self.ledger.job, "--concurrency", CONCURRENCY) as program:
            for _ in range(self.rng.randrange(1, 8)):
                written_to(program, _LOG)
            self._strike(program)

    def submit(self) -> None:
        """While a job file is loaded: the job is there whole or not at all."""
        file, count = self._side_job(rows=FORM.side_rows), FORM.side_rows
        with running("submit", file, "--base-url", self.server.url) as program:
            written_to(program, _LOG, grown_by=self.rng.randrange(1, 300 * count))
            self._strike(program)
        self._delete_side_jobs(whole=count)

    def cancel_and_delete(self) -> None:
        """A job is cancelled, and deleted, and the program killed in both."""
        assert (
            batcher("submit", self._side_job(rows=FORM.side_rows // 2), "--base-url", self.server.url, "-q").code
            == 0
        )
        job = self._side_jobs()[0]
        for args in (("cancel", job), ("delete", job, "--yes")):
            with running(*args) as program:
                written_to(program, _LOG)
                time.sleep(self.rng.uniform(0, 0.02))
                self._strike(program)
        self._delete_side_jobs()

    def redrive(self) -> None:
        """Dead letters are put back: all of them or none, and the history stays."""
        file = job_file(
            Path(f"dead-{self._next()}.jsonl"),
            *(row(f"d{n}-{self._sides}", direction="refused") for n in range(50)),
        )
        assert batcher("submit", file, "--base-url", self.server.url, "-q").code == 0
        job = self._side_jobs()[0]
        assert batcher("resume", job, "-q").code == 4, "they fail alike"
        assert batcher("resume", job, "-q").code == 3, "a resume confirms it"
        with running("dlq", "retry", "--job", job, "--all") as program:
            written_to(program, _LOG)
            time.sleep(self.rng.uniform(0, 0.02))
            self._strike(program)
        counts = batcher("status", job, "--json").json["counts"]
        assert (counts["pending"], counts["dead_lettered"]) in {(50, 0), (0, 50)}
        assert batcher("resume", job, "-q").code == 3
        assert len(batcher("dlq", "list", "--job", job, "--json").json["data"]) == 50
        self._delete_side_jobs()

    def export(self) -> None:
        """While results are written: the file is that of before, or the new one whole."""
        out = Path("partial.jsonl")
        out.unlink(missing_ok=True)
        with running("results", self.ledger.job, "--partial", "-o", out) as program:
            while not program.is_over and not list(Path().glob(".partial.jsonl.*")):
                time.sleep(0.0005)
            time.sleep(self.rng.uniform(0, 0.01))
            self._strike(program)
        whole_or_absent(out, self.ledger.digests)
        if out.exists():
            with looked_into() as database, database.read() as connection:
                answered = results.answered(connection, jobs.get(connection, self.ledger.job))
                assert len(rows_of(out)) == sum(1 for _ in answered)

    def upgrade(self) -> None:
        """While a store of the first schema is upgraded: afterwards it goes on as if nothing had been."""
        number = self._next()
        store, file = Path(f"old-{number}.db"), self._side_job(rows=FORM.side_rows // 3)
        assert batcher("submit", file, "--base-url", self.server.url, "--db", store, "-q").code == 0
        make_old(store)
        with running("db", "upgrade", "--db", store) as program:
            time.sleep(self.rng.uniform(0.1, 0.9))
            self._strike(program)
        assert batcher("db", "upgrade", "--db", store).code == 0
        with looked_into(store) as database, database.read() as connection:
            check_counts(connection)
        assert batcher("status", 1, "--json", "--db", store).json["counts"]["pending"] == FORM.side_rows // 3

    def _strike(self, program: Running) -> None:
        self.ledger.in_flight += self.server.stats()["in_flight"]
        self.ledger.kills += not program.is_over
        program.kill()

    def _next(self) -> int:
        self._sides += 1
        return self._sides

    def _side_job(self, *, rows: int) -> Path:
        number = self._next()
        return job_file(Path(f"side-{number}.jsonl"), *(row(f"side-{number}-{n}") for n in range(rows)))

    def _side_jobs(self) -> list[int]:
        found = batcher("status", "--json").json["data"]
        return [job["job"] for job in found if job["job"] != self.ledger.job]

    def _delete_side_jobs(self, *, whole: int | None = None) -> None:
        for job in self._side_jobs():
            if whole is not None:
                assert batcher("status", job, "--json").json["counts"]["pending"] == whole
            assert batcher("delete", job, "--yes").code == 0
        assert self._side_jobs() == []


#: How often each is drawn, of 20.
_PLAN: dict[str, tuple[Callable[[Kills], None], int]] = {
    "run": (Kills.run, 7),
    "start": (Kills.start, 3),
    "settle": (Kills.settle, 4),
    "export": (Kills.export, 1),
    "submit": (Kills.submit, 1),
    "cancel, delete": (Kills.cancel_and_delete, 1),
    "dlq retry": (Kills.redrive, 1),
    "db upgrade": (Kills.upgrade, 1),
}


def plan(rng: random.Random) -> Iterator[str]:
    """What is killed, in which order: all in every 20."""
    while True:
        names = [name for name, (_, weight) in _PLAN.items() for _ in range(weight)]
        rng.shuffle(names)
        yield from names


@pytest.mark.long
def test_killed_again_and_again_every_row_is_answered_once_and_little_is_sent_twice(tell) -> None:
    rng, lines = draws("kills"), mixed_rows(FORM.rows)
    file, journal = job_file(Path("j.jsonl"), *lines), Path("journal.jsonl")
    with provider_process(journal=journal, latency=FORM.latency) as server:
        assert batcher("submit", file, "--base-url", server.url).code == 0
        ledger = Ledger(lines=lines, server=server, journal=journal, concurrency=CONCURRENCY)
        ledger.check()
        kills = Kills(ledger, server, rng)
        for name in plan(rng):
            if ledger.kills >= FORM.kills:
                break
            before = ledger.kills
            _PLAN[name][0](kills)
            kills.struck[name] += ledger.kills - before
            ledger.check()
        unfinished = ledger.lost
        with running("run", file, "--base-url", server.url, "--concurrency", CONCURRENCY) as program:
            code, _, said = program.end(within=600)
        assert code == 3, f"seed {SEED}: {said}"
        ledger.check_end(Path("j.results.jsonl"))
        worst = _most_lost()
    assert unfinished > 0, "it was over before it was killed for the last time"
    for name, times in kills.struck.items():
        tell(f"SIGKILL in {name}", times=times, rows=len(lines), lost=ledger.lost, repeats="", in_flight="")
    tell(
        f"SIGKILL, all (most holders lost by a row: {worst})",
        times=ledger.kills,
        rows=len(lines),
        lost=ledger.lost,
        repeats=ledger.repeats,
        in_flight=ledger.in_flight,
    )


def _most_lost() -> int:
    with looked_into(STORE) as database, database.read() as connection:
        return int(connection.exec_driver_sql("SELECT max(lost) FROM requests").scalar_one())
