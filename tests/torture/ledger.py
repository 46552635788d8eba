"""What was asked for, what the provider has seen of it, and the invariants between them and the store.

The provider derives the id of an answer from the request's bytes, and its journal names each request by the same
digest: so a result can be held against its request without trusting anything the program says.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batcher.domain.ids import JobId
from batcher.domain.states import JobState
from batcher.ports import Store
from batcher.services.store.open_store import open_existing
from batcher.simulate.draws import digest
from batcher.store.jobs import jobs
from batcher.store.reports import job_counts
from batcher.store.reports import results as stored_results
from batcher.store.sqlite import maintenance
from tests.support.commands import batcher
from tests.support.programs import Provider, rows_of, until

STORE = Path("batcher.db")
#: Seconds that a row which is refused is told to stay away.
TOLD_SECONDS = 2
#: What the provider is asked to do with a row, and how often it is then sent in quiet times.
DIRECTIONS: dict[str, tuple[dict[str, Any], int]] = {
    "refused": ({"status": 400}, 1),
    "flaky": ({"fail_times": 1, "status": 500}, 2),
    "twice": ({"fail_times": 2, "status": 500}, 3),
    "told": ({"refuse_times": 1, "retry_after": TOLD_SECONDS}, 2),
}


def row(custom_id: str, *, direction: str | None = None) -> dict[str, Any]:
    """A line of a job file with a body like no other's."""
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": custom_id}]}
    if direction is not None:
        body["metadata"] = {"simulate": DIRECTIONS[direction][0]}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def mixed_rows(count: int) -> list[dict[str, Any]]:
    """Mostly healthy rows; one in 50 is refused for good, one in 50 fails once."""
    directions = {0: "refused", 25: "flaky"}
    return [row(f"row-{number}", direction=directions.get(number % 50)) for number in range(count)]


def digest_of(line: dict[str, Any]) -> str:
    """By what the provider's journal names the request of this line."""
    return digest(b"POST", line["url"].encode(), json.dumps(line["body"]).encode()).hex()


_FIRST = JobId(1)


@dataclass
class Ledger:
    """One job, followed from fault to fault."""

    lines: list[dict[str, Any]]
    server: Provider
    journal: Path
    job: JobId = _FIRST
    concurrency: int = 32
    store: Path = STORE
    kills: int = 0
    #: Requests that were at the provider when their runner was killed, in all.
    in_flight: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    _read: int = 0
    _answers: dict[str, bytes] = field(default_factory=dict)
    _ended: dict[str, int] = field(default_factory=dict)
    _client_ids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.digests = {line["custom_id"]: digest_of(line) for line in self.lines}
        simulated = {
            line["custom_id"]: line["body"].get("metadata", {}).get("simulate", {}) for line in self.lines
        }
        self.doomed = {
            name for name, asked in simulated.items() if "status" in asked and "fail_times" not in asked
        }
        self.sends = {
            self.digests[name]: 1 + asked.get("fail_times", 0) + asked.get("refuse_times", 0)
            for name, asked in simulated.items()
        }

    @property
    def repeats(self) -> int:
        """Requests that the provider was sent more often than quiet times would have sent them."""
        return sum(max(0, times - self.sends[name]) for name, times in self.seen.items() if name in self.sends)

    def read_journal(self) -> None:
        """Learn what has come in since; nothing is on its way any more then."""
        until(lambda: self.server.stats()["in_flight"] == 0)
        with self.journal.open("rb") as file:
            file.seek(self._read)
            entries = [json.loads(line) for line in file]
            self._read = file.tell()
        for entry in entries:
            self.seen[entry["body"]] += 1
            name = entry["client_request_id"]
            assert name not in self._client_ids, f"{name} was sent twice under one name"
            self._client_ids.add(name)

    def check(self) -> None:
        """The invariants that hold at any moment at which no runner lives (I1 to I5, I8)."""
        self.read_journal()
        with looked_into(self.store) as database, database.read() as connection:
            check_counts(connection)
            job = jobs.get(connection, self.job)
            answers = {each.custom_id: each.body for each in stored_results.answered(connection, job)}
            dead = {each.custom_id: each.code for each in stored_results.dead(connection, job)}
        assert set(dead) <= self.doomed, {name: dead[name] for name in set(dead) - self.doomed}
        for name, body in answers.items():
            assert json.loads(body)["id"] == f"chatcmpl-{self.digests[name]}", f"{name} has another row's answer"
        gone = {name for name, body in self._answers.items() if answers.get(name) != body}
        assert not gone, f"acknowledged and gone or changed: {sorted(gone)[:5]}"
        again = {name for name, times in self._ended.items() if self.seen[name] != times}
        assert not again, f"sent again after its end: {sorted(again)[:5]}"
        self._answers = answers
        self._ended = {self.digests[name]: self.seen[self.digests[name]] for name in (*answers, *dead)}
        assert self.repeats <= 2 * self.concurrency * self.kills

    def check_end(self, results: Path) -> None:
        """The invariants of a finished job (I2, I3, I12), and that nothing more is ever sent for it (I14)."""
        self.check()
        answered, failed = rows_of(results), rows_of(errors) if (errors := errors_of(results)).exists() else []
        names = [line["custom_id"] for line in self.lines]
        assert [each["custom_id"] for each in answered] == [name for name in names if name not in self.doomed]
        assert [each["custom_id"] for each in failed] == [name for name in names if name in self.doomed]
        for each in answered:
            assert each["response"]["body"]["id"] == f"chatcmpl-{self.digests[each['custom_id']]}"
        assert set(self.seen) >= set(self.digests.values())
        assert self.lost == 0
        before, whole = self.server.requests, results.read_bytes()
        results.unlink()
        assert batcher("resume", self.job, "--db", self.store).code in {0, 3}
        assert batcher("results", self.job, "-o", results, "--db", self.store).code in {0, 3}
        assert self.server.requests == before
        assert results.read_bytes() == whole

    @property
    def lost(self) -> int:
        """Rows without an end in the store, when last looked at."""
        return len(self.lines) - len(self._ended)


def errors_of(results: Path) -> Path:
    """The errors file beside the results of the default name."""
    return results.with_name(results.name.replace(".results.", ".errors."))


@contextmanager
def looked_into(store: Path = STORE) -> Iterator[Store]:
    """The store as it stands."""
    with open_existing(str(store)) as database:
        yield database


def check_counts(connection: Any) -> None:
    """I1 for every job, and the store's own check of itself."""
    assert maintenance.problems(connection) == []
    for job in jobs.all_jobs(connection):
        counts = job_counts.counts(connection, job)
        parts = (counts.pending, counts.claimed, counts.completed, counts.dead_lettered, counts.cancelled)
        assert counts.total == sum(parts)
        if job.state is not JobState.CANCELLED:
            assert counts.total == job.total
        assert not job_counts.is_miscounted(connection, job)


def whole_or_absent(path: Path, ids: Iterable[str]) -> None:
    """I12: every line parses, and those that are there stand in input order."""
    if path.exists():
        known = {name: place for place, name in enumerate(ids)}
        content = path.read_bytes()
        assert not content or content.endswith(b"\n")
        places = [known[json.loads(line)["custom_id"]] for line in content.split(b"\n") if line]
        assert places == sorted(set(places))
