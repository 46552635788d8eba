"""The invariants at the end: whatever went wrong, each row is settled once and correctly."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from batcher.domain.jobs import Job
from batcher.policy.rate.token_bucket import BURST_S
from batcher.services.results.export import answered_lines, failed_lines
from batcher.store.jobs import jobs
from batcher.store.reports import job_counts
from batcher.store.sqlite.database import Database
from tests.simulation.watcher import require

if TYPE_CHECKING:
    from tests.simulation.world import World


def check(world: "World") -> None:
    """Raise Broken if an invariant does not hold at the end."""
    database = Database(world.path)
    try:
        with database.read() as connection:
            for job in jobs.all_jobs(connection):
                counts = job_counts.counts(connection, job)
                _is_over(world, job, counts.unfinished)
                whole = counts.total == job.total or job.id in world.watcher.deleted
                require(whole, "I1 every row is in one state", job, counts)
        for job in _jobs(database):
            # An interrupted deletion is exported no more; `delete` goes on with it.
            if job.id not in world.watcher.deleted:
                _is_exported_whole(world, database, job)
    finally:
        database.close()
    _every_send_is_told_of(world)
    _limits_are_kept(world)
    require(world.watcher.ask("PRAGMA foreign_key_check") == [], "the store is whole")
    require(world.watcher.ask("PRAGMA integrity_check") == [("ok",)], "the file is whole")


def _jobs(database: Database) -> list[Job]:
    with database.read() as connection:
        return jobs.all_jobs(connection)


def _is_over(world: "World", job: Job, unfinished: int) -> None:
    mine = [row for row in world.watcher.rows().values() if row.job == job.id]
    whole = len(mine) == job.total or job.id in world.watcher.deleted
    require(unfinished == 0 and whole, "I9 every row is at its end", job, mine)


def _is_exported_whole(world: "World", database: Database, job: Job) -> None:
    """I2: each row occurs once in the results or the errors, in input order."""
    mine = sorted((row for row in world.watcher.rows().values() if row.job == job.id), key=lambda row: row.line)
    answered, failed = list(answered_lines(database, job)), list(failed_lines(database, job))
    for lines, states in ((answered, {"completed"}), (failed, {"dead_lettered", "cancelled"})):
        # A dead letter that was discarded keeps its code: a person gave it up, and it stands nowhere.
        discarded = {row.id for row in mine if row.state == "cancelled" and row.code is not None}
        expected = [row.custom_id for row in mine if row.state in states and row.id not in discarded]
        found = [json.loads(line)["custom_id"] for line in lines]
        require(found == expected, "I2 each row stands once in the output", states, found, expected)


def _every_send_is_told_of(world: "World") -> None:
    """I5: every sending that the provider saw is recorded, with its outcome unless its process was killed."""
    known = {(row[0], row[1]): row[2] for row in world.watcher.ask("SELECT request_id, send, kind FROM attempts")}
    there = world.watcher.rows()
    for arrival in world.provider.journal:
        if arrival.request not in there:
            continue
        kind = known.get(arrival.name)
        require(kind is not None, "every send is recorded", arrival)
        if kind == "lost":
            require(arrival.name in world.watcher.lost, "I5 only what was out at a kill is repeated", arrival)


def _limits_are_kept(world: "World") -> None:
    """I6: at most limit · w/60 + burst in any window of w seconds, across all restarts."""
    lanes = defaultdict(list)
    for arrival in world.provider.journal:
        lanes[arrival.model].append((arrival.at, arrival.tokens))
    given = world.scenario.given
    for model, seen in lanes.items():
        if given.rpm is not None:
            _is_within(model, [(at, 1.0) for at, _ in seen], given.rpm / 60)
        if given.tpm is not None:
            _is_within(model, seen, given.tpm / 60)


def _is_within(model: str, seen: Sequence[tuple[float, float]], rate: float) -> None:
    """Check that a window exceeds its rate by at most a burst, or by one request if that is larger."""
    burst = max(rate * BURST_S, *(amount for _, amount in seen), 0.0)
    # The largest excess of any window over its rate, as the maximum subarray sum.
    beyond, before = 0.0, seen[0][0]
    for at, amount in seen:
        beyond = max(0.0, beyond - (at - before) * rate) + amount
        before = at
        require(beyond <= burst * 1.0001, "I6 never over the limit", model, at, beyond, burst)
