"""Only what was really out when its runner was killed may have killed it; the rest is given back unharmed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from batcher.domain.ids import HolderId, RequestId
from batcher.domain.requests import Claim, SentClaims
from batcher.store.queue import runners
from batcher.store.sqlite.in_flight_log import FileInFlightLog, last_sent
from tests.support.stores import START, Row, cancel, numbered, stored, submit_rows, table

BOOT = "11111111-2222-3333-4444-555555555555"


def log_of(folder: Path, holder: int = 1, *, boot: str | None = BOOT) -> FileInFlightLog:
    return FileInFlightLog(folder / "batcher.db", holder=HolderId(holder), boot=boot)


def told(folder: Path, boot: str | None = BOOT) -> SentClaims | None:
    return last_sent(folder / "batcher.db", boot=boot)


@pytest.fixture
async def claims(database, ask) -> list[Claim]:
    return list((await ask(submit_rows(database, numbered(5)), most=5)).claims)


def test_what_began_and_did_not_end_is_known_to_whoever_comes_after(tmp_path, claims):
    log = log_of(tmp_path)
    for claim in claims:
        log.begin(claim)
    log.record()
    log.end([claims[1]])
    log.end([claims[1]])
    assert told(tmp_path) == SentClaims(
        holder=HolderId(1), sends=frozenset((claims[n].request_id, 1) for n in (0, 2, 3, 4))
    )
    log.begin(claims[1])
    log.record()
    log.close()
    known = told(tmp_path)
    assert known is not None
    assert len(known.sends) == 5


@pytest.mark.usefixtures("claims")
def test_a_new_log_knows_nothing_of_the_one_before(tmp_path, claims):
    log = log_of(tmp_path)
    log.begin(claims[0])
    log.record()
    log_of(tmp_path, 2).close()
    assert told(tmp_path) == SentClaims(holder=HolderId(2), sends=frozenset())


@pytest.mark.parametrize("content", [None, b"", b"short", b"x" * 200])
def test_a_log_that_is_none_tells_nothing(tmp_path, content):
    if content is not None:
        (tmp_path / "batcher.db-flights").write_bytes(content)
    assert told(tmp_path) is None


def test_a_log_from_before_a_restart_of_the_machine_tells_nothing(tmp_path):
    log_of(tmp_path).close()
    assert told(tmp_path) is not None
    assert told(tmp_path, boot="another") is None
    assert told(tmp_path, boot=None) is None


def test_a_log_that_cannot_be_written_any_more_tells_nothing(tmp_path, claims):
    log = log_of(tmp_path)
    log.begin(claims[0])
    log.record()
    os.close(log._descriptor)
    log._descriptor = os.open(tmp_path / "batcher.db-flights", os.O_RDONLY)
    log.begin(claims[1])
    log.record()
    log.begin(claims[2])
    log.record()
    (tmp_path / "batcher.db-flights").write_bytes(b"")
    assert told(tmp_path) is None


def test_the_file_is_removed_at_the_end_unless_a_request_is_in_flight(tmp_path, claims):
    log = log_of(tmp_path)
    log.begin(claims[0])
    log.record()
    log.remove_if_empty()
    assert told(tmp_path) == SentClaims(
        holder=HolderId(1), sends=frozenset({(claims[0].request_id, claims[0].send)})
    )
    log = log_of(tmp_path)
    log.begin(claims[0])
    log.record()
    log.end([claims[0]])
    log.remove_if_empty()
    assert not (tmp_path / "batcher.db-flights").exists()
    log.remove_if_empty()


def test_where_no_log_can_be_made_all_goes_on_without(tmp_path, claims):
    (tmp_path / "batcher.db-flights").mkdir()
    log = log_of(tmp_path)
    log.begin(claims[0])
    log.record()
    log.end([claims[0]])
    assert told(tmp_path) is None
    log.remove_if_empty()


def test_the_log_outlives_a_killed_process(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from types import SimpleNamespace\n"
        "from batcher.store.sqlite.in_flight_log import FileInFlightLog\n"
        f"log = FileInFlightLog(Path(sys.argv[1]), holder=7, boot={BOOT!r})\n"
        "log.begin(SimpleNamespace(request_id=3, send=2))\n"
        "log.begin(SimpleNamespace(request_id=4, send=1))\n"
        "log.record()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "batcher.db")], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert told(tmp_path) == SentClaims(
        holder=HolderId(7), sends=frozenset({(RequestId(3), 2), (RequestId(4), 1)})
    )


def rescue(database, sent: SentClaims) -> int:
    with database.write() as connection:
        return runners.rescue(connection, now=START, sent=sent)


async def test_a_rescue_releases_what_was_never_sent_and_counts_the_rest_as_lost(database, claims, me):
    out = frozenset({(claims[0].request_id, 1), (claims[1].request_id, 9)})
    assert rescue(database, SentClaims(holder=me, sends=out)) == 5
    rows = stored(database)
    assert {name: (row["state"], row["lost"], row["sends"]) for name, row in rows.items()} == {
        "r0": ("pending", 1, 1),
        **{f"r{n}": ("pending", 0, 0) for n in range(1, 5)},
    }
    assert [row["request_id"] for row in table(database, "attempts")] == [claims[0].request_id]


@pytest.mark.usefixtures("claims")
async def test_what_is_told_of_another_holder_releases_nothing(database, me):
    assert rescue(database, SentClaims(holder=HolderId(me + 1), sends=frozenset())) == 5
    assert {row["lost"] for row in stored(database).values()} == {1}


async def test_rows_of_a_cancelled_job_that_were_never_sent_are_cancelled_by_the_rescue(database, ask, me):
    job = submit_rows(database, [Row("a")])
    await ask(job)
    cancel(database, job)
    assert rescue(database, SentClaims(holder=me, sends=frozenset())) == 1
    row = stored(database)["a"]
    assert (row["state"], row["sends"], row["holder_id"]) == ("cancelled", 0, None)


def test_a_system_without_posix_fallocate_keeps_the_log_too(tmp_path, monkeypatch):
    """As macOS."""
    monkeypatch.delattr(os, "posix_fallocate")
    log = FileInFlightLog(tmp_path / "batcher.db", holder=HolderId(7), boot="b")
    log.close()
    assert last_sent(tmp_path / "batcher.db", boot="b") == SentClaims(holder=HolderId(7), sends=frozenset())
