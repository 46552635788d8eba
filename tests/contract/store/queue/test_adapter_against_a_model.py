"""The store against a model in memory: in any order of events, each row is answered once or explained."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from batcher.domain.events import RequestsSettled
from batcher.domain.ids import JobId
from batcher.domain.jobs import Counts, Job
from batcher.domain.requests import Answered, Claim, ClaimResult, Dead, SentClaims
from batcher.domain.settlements import Settlement
from batcher.store.dead_letters import edits, redrive, regroup
from batcher.store.jobs import jobs
from batcher.store.queue import claim, runners, settle
from batcher.store.reports import job_counts, results
from batcher.store.schema import SUSPECT_AFTER
from tests.support.engines import ENGINES, Engine
from tests.support.store_model import Answer, Model, ModelRow
from tests.support.stores import (
    SECOND,
    Holder,
    ManualClock,
    Row,
    completed,
    dead_lettered,
    holder_of,
    line_of,
    released,
    requeued,
    routes_of,
    stored,
    submit_rows,
    wants,
    wrong_counts,
)

LIVE = ("pending", "claimed")
#: (body, whether it shares its answer). Few bodies, so that rows share them.
ROWS = st.lists(
    st.tuples(st.sampled_from([b"1", b"2"]), st.sampled_from([True, True, True, False])), min_size=2, max_size=5
)
ENDS = st.lists(
    st.sampled_from(["complete", "dead-letter", "release", "requeue", "requeue later", "refused"]),
    min_size=0,
    max_size=4,
)


def answer_to(body: bytes) -> bytes:
    return b"answer to " + body


class StoreMachine(RuleBasedStateMachine):
    """Runs everything that changes a request, in any order. Each engine has a subclass."""

    engine: Engine

    @initialize(rows=ROWS, reuse=st.booleans())
    def open(self, rows: list[tuple[bytes, bool]], *, reuse: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="batcher-machine-"))
        self.database = self.engine.open_quickly(self.folder)
        self.clock = ManualClock()
        self.holder: Holder = holder_of(self.database, self.clock)
        self.model = Model()
        self.jobs: dict[JobId, Job] = {}
        self.submitted = 0
        self.held: dict[str, Claim] = {}
        #: Claims that ended, by a settlement or by the death of their holder.
        self.old: list[Claim] = []
        # Two jobs that share bodies; the second may or may not share answers with the first.
        self.submit(rows, reuse=True)
        self.submit(rows[:3], reuse=reuse)

    # --- what people do ---

    @precondition(lambda self: len(self.jobs) < 3)
    @rule(rows=ROWS, reuse=st.booleans())
    def submit(self, rows: list[tuple[bytes, bool]], *, reuse: bool) -> None:
        self.submitted += 1
        number = self.submitted
        given = [Row(f"{number}-{at}", body, shares=shares) for at, (body, shares) in enumerate(rows)]
        job = submit_rows(self.database, given, name=f"job{number}", reuse_earlier=reuse)
        self.jobs[job.id] = job
        for row in given:
            self.model.rows[row.custom_id] = ModelRow(job=job.id, body=row.bytes_, shares=row.shares)

    @precondition(lambda self: len(self.model.cancelled) < len(self.jobs) - 1)
    @rule(which=st.integers(0, 2))
    def cancel(self, which: int) -> None:
        job = list(self.jobs.values())[which % len(self.jobs)]
        pending = [row for row in self.model.rows.values() if row.job == job.id and row.state == "pending"]
        with self.database.write() as connection:
            assert jobs.cancel(connection, job, now=self.clock.at) == len(pending)
            state = jobs.get(connection, job.id).state
        for row in pending:
            row.state = "cancelled"
        if state == "cancelled":
            self.model.cancelled.add(job.id)

    @precondition(lambda self: any(row.state == "dead_lettered" for row in self.model.rows.values()))
    @rule(chosen=st.lists(st.booleans(), min_size=15, max_size=15))
    def retry(self, chosen: list[bool]) -> None:
        """Redrive some dead letters; rows that are not dead letters may be named too."""
        rows = stored(self.database)
        names = [name for name, wanted in zip(rows, chosen, strict=False) if wanted]
        with self.database.write() as connection:
            for job_id in regroup.retry(connection, [rows[name]["id"] for name in names])[1]:
                jobs.reopen(connection, job_id)
                self.model.cancelled.discard(job_id)
        for row in (self.model.rows[name] for name in names):
            if row.state == "dead_lettered":
                row.state, row.spent, row.lost, row.not_before = "pending", 0, 0, 0

    @precondition(lambda self: any(row.state == "dead_lettered" for row in self.model.rows.values()))
    @rule(which=st.integers(0, 99), body=st.sampled_from([b"1", b"2", b"3"]))
    def retry_edited(self, which: int, body: bytes) -> None:
        """Redrive one dead letter with another body: it shares the answer of rows that already have that body."""
        name, row = self.dead(which)
        number = stored(self.database)[name]["id"]
        line = line_of(Row(name, body, shares=row.shares), 1)
        with self.database.write() as connection:
            edits.replace(connection, [edits.Edited(request=number, job=JobId(row.job), line=line)])
            assert redrive.put_back(connection, [number]) == (1, [row.job])
        self.model.cancelled.discard(row.job)
        row.state, row.spent, row.lost, row.not_before = "pending", 0, 0, 0
        row.body, row.revision = body, row.revision + 1

    @precondition(lambda self: any(row.state == "dead_lettered" for row in self.model.rows.values()))
    @rule(which=st.integers(0, 99))
    def discard(self, which: int) -> None:
        """Discard one dead letter; its followers stay dead letters."""
        name, row = self.dead(which)
        number = stored(self.database)[name]["id"]
        with self.database.write() as connection:
            assert redrive.discard(connection, [number]) == 1
            assert redrive.discard(connection, [number]) == 0
        row.state = "cancelled"

    def dead(self, which: int) -> tuple[str, ModelRow]:
        found = [(name, row) for name, row in self.model.rows.items() if row.state == "dead_lettered"]
        return found[which % len(found)]

    @precondition(lambda self: len(self.jobs) > 1 and self.idle())
    @rule(which=st.integers(0, 2))
    def delete(self, which: int) -> None:
        """Delete a job that has nothing in flight, chunk by chunk."""
        idle = self.idle()
        job = self.jobs.pop(idle[which % len(idle)])
        with self.database.write() as connection:
            jobs.cancel(connection, job, now=self.clock.at)
        more = True
        while more:
            with self.database.write() as connection:
                more = jobs.delete_some(connection, job)
        self.model.delete(job.id)

    def idle(self) -> list[JobId]:
        """Jobs that have nothing in flight."""
        busy = {claim.job_id for claim in self.held.values()}
        return [job_id for job_id in self.jobs if job_id not in busy]

    # --- what a runner does ---

    @rule(most=st.integers(1, 4), most_bytes=st.sampled_from([1000, 2]), ends=ENDS)
    def work(self, most: int, most_bytes: int, ends: list[str]) -> None:
        """Claim rows and settle held ones, oldest first; claims without a decision stay in flight."""
        claimed = self.holder.claim(*self.jobs.values(), most=most, most_bytes=most_bytes)
        self.learn(claimed, alone=False)
        assert len(claimed.claims) <= most_bytes
        self.settle(ends)

    @precondition(lambda self: self.held)
    @rule(most=st.integers(1, 4), ends=ENDS)
    def exchange(self, most: int, ends: list[str]) -> None:
        """Settle some claims and claim the next rows, in one transaction."""
        before = self.model.count()
        group = self.decided(ends)
        now, holder = self.clock.at, self.holder.id
        wanted = wants(routes_of(self.database, *self.jobs.values()), most)
        with self.database.write() as connection:
            told = settle.settle(connection, group, holder=holder, now=now)
            claimed = claim.claim(connection, wanted, holder=holder, now=now, most_bytes=1000)
        self.hear(told, before)
        self.learn(claimed, alone=False)

    @precondition(lambda self: any(row.lost >= SUSPECT_AFTER for row in self.model.rows.values()))
    @rule(ends=ENDS)
    def work_alone(self, ends: list[str]) -> None:
        claimed = self.holder.claim(*self.jobs.values(), alone=True)
        self.learn(claimed, alone=True)
        assert len(claimed.claims) <= 1
        self.settle(ends)

    def learn(self, claimed: ClaimResult, *, alone: bool) -> None:
        names = {row["id"]: name for name, row in stored(self.database).items()}
        for settled in claimed.settled:
            assert settled.cached == len(settled.completed) > 0
            for row in (self.model.rows[names[id_]] for id_ in settled.completed):
                assert (row.state, row.job) == ("pending", settled.job_id)
                row.state, row.answer = "completed", self.known(row)
                assert row.answer is not None
        for held in claimed.claims:
            row = self.model.rows[held.custom_id]
            assert row.state == "pending"
            assert (held.send, held.revision) == (row.sends + 1, row.revision)
            assert held.body == row.body
            assert self.known(row) is None
            assert row.not_before <= self.clock.at
            assert (row.lost >= SUSPECT_AFTER) == alone
            if row.shares and self.jobs[held.job_id].settings.reuse_earlier:
                assert row.body not in self.sending()
            row.state, row.sends = "claimed", row.sends + 1
            self.held[held.custom_id] = held

    def known(self, row: ModelRow) -> Answer | None:
        reuse = self.jobs[JobId(row.job)].settings.reuse_earlier
        return self.model.known(row, from_earlier=reuse)

    def sending(self) -> set[bytes]:
        """Bodies in flight whose answer other rows may share."""
        return {claim.body for name, claim in self.held.items() if self.model.rows[name].shares}

    @precondition(lambda self: self.held)
    @rule(ends=ENDS)
    def settle_some(self, ends: list[str]) -> None:
        self.settle(ends)

    def settle(self, ends: list[str]) -> None:
        """Settle held claims in one batch, and check every row that it settled."""
        before = self.model.count()
        self.hear(self.holder.settle(*self.decided(ends)), before)

    def decided(self, ends: list[str]) -> list[Settlement]:
        group = []
        for name, end in zip(list(self.held), ends, strict=False):
            held = self.held.pop(name)
            self.old.append(held)
            group.append(self.decide(held, self.model.rows[name], end))
        return group

    def hear(self, told: Sequence[RequestsSettled], before: Counter[str]) -> None:
        after = self.model.count()
        assert sum(len(each.completed) for each in told) == after["completed"] - before["completed"]
        assert sum(len(each.dead_lettered) for each in told) == after["dead_lettered"] - before["dead_lettered"]

    def decide(self, held: Claim, row: ModelRow, end: str) -> Settlement:
        """Return the settlement, and apply it to the model."""
        at = self.clock.at
        if end == "complete":
            self.model.complete(row)
            return completed(held, answer_to(row.body), at=at)
        if end == "dead-letter":
            self.model.dead_letter(row)
            return dead_lettered(held, at=at)
        if end == "release":
            self.model.release(row)
            return released(held)
        self.model.give_back(row)
        row.spent += end != "refused" and row.state == "pending"
        row.not_before = at + SECOND if end == "requeue later" else 0
        return requeued(held, row.not_before or None, uses_attempt=end != "refused", at=at)

    @precondition(lambda self: self.old)
    @rule(which=st.integers(0, 99), end=st.sampled_from([completed, dead_lettered, requeued]))
    def settle_what_is_over(self, which: int, end) -> None:
        """Settle twice or too late: nothing changes, but a number that was given back is used after all."""
        over = self.old[which % len(self.old)]
        held = self.held.get(over.custom_id)
        if held is None or held.send != over.send:
            assert self.holder.settle(end(over)) == []
            self.model.was_sent(over)

    @rule(
        most=st.integers(1, 4),
        alone=st.booleans(),
        out=st.none() | st.lists(st.booleans(), min_size=20, max_size=20),
    )
    def die(self, most: int, out: list[bool] | None, *, alone: bool) -> None:
        """The runner claims more rows, then dies with all its claims, and another takes over.

        `out` lists the claims that had been sent, if that is known: the others are released as if never claimed.
        """
        self.learn(self.holder.claim(*self.jobs.values(), most=most, alone=alone), alone=alone)
        late, ghosts = self.holder, list(self.held.values())
        sent = ghosts if out is None else [each for each, went in zip(ghosts, out, strict=False) if went]
        told = frozenset((each.request_id, each.send) for each in sent)
        with self.database.write() as connection:
            known = None if out is None else SentClaims(holder=late.id, sends=told)
            assert runners.rescue(connection, now=self.clock.at, sent=known) == len(ghosts)
        for name, ghost in self.held.items():
            (self.model.lose if ghost in sent else self.model.release)(self.model.rows[name])
        self.old += ghosts
        self.held = {}
        self.holder = holder_of(self.database, self.clock)
        assert late.settle(*[completed(ghost) for ghost in ghosts]) == []
        for ghost in ghosts:
            self.model.was_sent(ghost)

    @rule(seconds=st.sampled_from([0.3, 1.0]))
    def wait(self, seconds: float) -> None:
        self.clock.at += int(seconds * SECOND)

    @rule()
    def finish(self) -> None:
        with self.database.write() as connection:
            before = {job.id for job in jobs.unfinished(connection)}
            done = set(jobs.finish(connection, list(self.jobs), now=self.clock.at))
        working = {row.job for row in self.model.rows.values() if row.state in LIVE}
        assert done == before - working

    # --- what must always hold ---

    @invariant()
    def all_is_well(self) -> None:
        rows = stored(self.database)
        self.the_store_says_what_the_model_says(rows)
        self.no_row_follows_a_leader_that_will_not_answer(rows)
        assert wrong_counts(self.database) == []

    @rule()
    def look(self) -> None:
        """Check the reports that people see; too slow to run after every step."""
        with self.database.read() as connection:
            kept = connection.execute(text("SELECT count(*) FROM responses")).scalar()
            assert kept == len(self.model.answers)
            for job in self.jobs.values():
                mine = self.model.of(job.id)
                self.every_row_is_counted_once(job_counts.counts(connection, job), job, mine)
                answers, dead = results.answered(connection, job), results.dead(connection, job)
                self.every_row_is_exported_once(list(answers), list(dead), mine)

    def the_store_says_what_the_model_says(self, rows: dict[str, Any]) -> None:
        assert set(rows) == set(self.model.rows)
        for name, row in rows.items():
            known = self.model.rows[name]
            expected = (known.state, known.sends, known.spent, known.lost, known.revision)
            found = (row["state"], row["sends"], row["spent"], row["lost"], row["revision"])
            assert found == expected, name
            assert (row["holder_id"] == self.holder.id) == (row["state"] == "claimed")

    def no_row_follows_a_leader_that_will_not_answer(self, rows: dict[str, Any]) -> None:
        by_id = {row["id"]: row for row in rows.values()}
        for row in rows.values():
            if row["state"] == "pending" and row["leader_id"] is not None:
                leader = by_id[row["leader_id"]]
                assert (leader["state"] in LIVE, leader["leader_id"]) == (True, None)

    def every_row_is_counted_once(self, counts: Counts, job: Job, mine: dict[str, ModelRow]) -> None:
        expected = Counter(row.state for row in mine.values())
        assert counts.total == job.total == expected.total()
        told = {state: getattr(counts, state) for state in (*LIVE, "completed", "dead_lettered", "cancelled")}
        assert told == {state: expected[state] for state in told}

    def every_row_is_exported_once(
        self, answers: list[Answered], dead: list[Dead], mine: dict[str, ModelRow]
    ) -> None:
        told = [(row.custom_id, row.body) for row in answers]
        expected = [(name, answer_to(row.body)) for name, row in mine.items() if row.state == "completed"]
        assert told == expected
        assert [row.custom_id for row in dead] == [
            name for name, row in mine.items() if row.state == "dead_lettered"
        ]

    def teardown(self) -> None:
        """Nothing is stuck: once faults end, every row is settled (I9)."""
        try:
            self.drain()
            with self.database.read() as connection:
                assert self.engine.dangling(connection) == []
        finally:
            self.database.close()
            shutil.rmtree(self.folder)

    def drain(self) -> None:
        for _ in range(3 + 2 * len(self.model.rows)):
            if not any(row.state in LIVE for row in self.model.rows.values()):
                break
            for name in sorted(self.held):
                self.holder.settle(self.decide(self.held.pop(name), self.model.rows[name], "complete"))
            self.clock.at += 10 * SECOND
            self.learn(self.holder.claim(*self.jobs.values()), alone=False)
            if not self.held:
                self.learn(self.holder.claim(*self.jobs.values(), alone=True), alone=True)
        assert [name for name, row in self.model.rows.items() if row.state in LIVE] == []
        self.all_is_well()
        self.look()


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_in_any_order_of_events_each_row_is_answered_once_or_explained(engine: Engine) -> None:
    machine = type("Machine", (StoreMachine,), {"engine": engine})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=120,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
