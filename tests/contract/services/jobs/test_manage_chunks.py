"""Changes of many rows take many short transactions; a process killed between two leaves what the next ends."""

import json
from collections import Counter
from io import BytesIO

import pytest
from msgspec.structs import replace

from batcher.domain.ids import RequestId
from batcher.domain.requests import Filters
from batcher.domain.settings import JobSettings
from batcher.domain.states import JobState
from batcher.files.source import Source
from batcher.policy.input.body_edit import read_set
from batcher.ports import Store
from batcher.services.dead_letters import discard, edit, retry
from batcher.services.jobs import manage
from batcher.services.jobs.options import SubmitOptions
from batcher.services.jobs.submit import submit_file
from batcher.store.dead_letters import regroup
from batcher.store.jobs import jobs, leaders
from batcher.store.queue import shared_ends, single_flight
from tests.support.stores import (
    BASE_URL,
    ManualClock,
    Row,
    change,
    completed,
    dead_lettered,
    job_now,
    names,
    numbered,
    states,
    stored,
    submit_rows,
    table,
)
from tests.support.transactions import KilledError, Transactions, killed_before

#: The row of the counts of a job, which change with its rows.
COUNTS = 1
SAME = json.dumps({"model": "m", "messages": [{"role": "user", "content": "same"}]}).encode()


@pytest.fixture
def transactions(database, monkeypatch) -> Transactions:
    return Transactions(database, monkeypatch)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    for module, name in (
        (manage, "AT_ONCE"),
        (retry, "AT_ONCE"),
        (discard, "AT_ONCE"),
        (retry, "_LARGE"),
        (edit, "AT_ONCE"),
        (leaders, "ROWS"),
        (single_flight, "MOST_AT_ONCE"),
    ):
        monkeypatch.setattr(module, name, 3)
    monkeypatch.setattr(regroup, "MOST_REGROUPED", 2)


def counted(database: Store) -> Counter[str]:
    return Counter(states(database).values())


def body(text: str) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()


def leaders_of(database: Store) -> dict[str, str | None]:
    rows = stored(database)
    by_id = {each["id"]: name for name, each in rows.items()}
    return {name: by_id.get(each["leader_id"]) for name, each in rows.items()}


# --- cancel ---


def test_a_cancel_changes_a_few_rows_at_a_time(database, transactions, clock):
    job = submit_rows(database, numbered(10))
    transactions.changes.clear()
    assert manage.cancel(database, job, clock=clock).requests == 10
    # The first chunk cancels the job, too: from then on nothing of it is claimed.
    assert max(transactions.changes) <= 3 + 1 + COUNTS
    assert counted(database) == {"cancelled": 10}


@pytest.mark.parametrize("kill_at", [1, 2, 3])
def test_a_cancel_that_is_killed_between_chunks_is_continued_by_the_same_command(
    database, transactions, clock, kill_at
):
    job = submit_rows(database, numbered(10))
    transactions.changes.clear()
    transactions.before = killed_before(kill_at)
    with pytest.raises(KilledError):
        manage.cancel(database, job, clock=clock)
    assert (job_now(database, job).state, job_now(database, job).wanted) == (JobState.CANCELLED, False)
    left = counted(database)["pending"]
    assert left == 10 - 3 * max(1, kill_at - 1)
    transactions.before = killed_before(99)
    again = manage.cancel(database, job, clock=clock)
    assert (again.requests, again.was_over) == (left, False)
    assert counted(database) == {"cancelled": 10}
    assert manage.cancel(database, job, clock=clock).was_over


def test_a_row_that_a_runner_claims_between_the_chunks_is_answered_and_kept(database, transactions, holder, clock):
    job = submit_rows(database, numbered(10))
    transactions.changes.clear()
    taken = []

    def claim_meanwhile(number: int) -> None:
        if number == 2:
            transactions.before = killed_before(99)
            taken.extend(holder.claim(job, most=2).claims)

    transactions.before = claim_meanwhile
    assert manage.cancel(database, job, clock=clock).requests == 8
    holder.settle(*map(completed, taken))
    assert counted(database) == {"cancelled": 8, "completed": 2}
    assert holder.claim(job).claims == []


def test_a_retry_beside_a_half_done_cancel_sends_only_what_was_put_back(database, transactions, holder, clock):
    job = submit_rows(database, numbered(10))
    (dead,) = holder.claim(job, most=1).claims
    holder.settle(dead_lettered(dead))
    transactions.changes.clear()
    transactions.before = killed_before(1)
    with pytest.raises(KilledError):
        manage.cancel(database, job, clock=clock)
    transactions.before = killed_before(99)
    assert retry.retry_job(database, job)[1] == 1
    assert names(holder.claim(job).claims) == ["r0"]
    assert counted(database) == {"cancelled": 9, "claimed": 1}


def test_a_cancel_leaves_what_is_put_back_between_its_chunks(database, transactions, holder, clock):
    job = submit_rows(database, numbered(10))
    (dead,) = holder.claim(job, most=1).claims
    holder.settle(dead_lettered(dead))
    transactions.changes.clear()

    def retry_meanwhile(number: int) -> None:
        if number == 2:
            transactions.before = killed_before(99)
            retry.retry_job(database, job)

    transactions.before = retry_meanwhile
    manage.cancel(database, job, clock=clock)
    assert counted(database) == {"cancelled": 9, "pending": 1}
    assert job_now(database, job).state is JobState.OPEN


def test_a_job_that_is_half_deleted_is_deleted_by_the_same_command(database, transactions, clock, monkeypatch):
    monkeypatch.setattr(jobs, "_REMOVED_AT_ONCE", 3)
    job = submit_rows(database, numbered(10))
    transactions.changes.clear()
    transactions.before = killed_before(3)
    with pytest.raises(KilledError):
        manage.delete(database, job, clock=clock)
    transactions.before = killed_before(99)
    manage.delete(database, job, clock=clock)
    assert [table(database, name) for name in ("jobs", "requests", "bodies")] == [[]] * 3


# --- leaders ---


def file_of(bodies: list[str]) -> Source:
    lines = [
        {
            "custom_id": f"r{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": json.loads(body(text)),
        }
        for number, text in enumerate(bodies)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    return Source(BytesIO(text.encode()), name="f.jsonl", packing="")


@pytest.mark.parametrize(
    "bodies", [[str(n % 5) for n in range(17)], ["same"] * 11, [*map(str, range(40)), "0", "9"]]
)
def test_leaders_are_the_first_of_their_body_and_chosen_a_few_rows_at_a_time(database, transactions, bodies):
    stored_job = submit_file(
        database, file_of(bodies), JobSettings(base_url=BASE_URL), SubmitOptions(), clock=ManualClock()
    )
    firsts = {text: f"r{bodies.index(text)}" for text in bodies}
    expected = {f"r{n}": firsts[text] for n, text in enumerate(bodies)}
    assert leaders_of(database) == {name: None if first == name else first for name, first in expected.items()}
    assert stored_job.followers == len(bodies) - len(firsts)
    loaded = transactions.changes.index(next(each for each in transactions.changes if each > 1))
    # Of three rows, each may be noted as a candidate, be a first one or made to follow, and be forgotten.
    assert max(transactions.changes[loaded + 1 :]) <= 3 * 3 + 1


@pytest.mark.parametrize("kill_at", [3, 4, 5])
def test_a_load_that_is_killed_while_leaders_are_chosen_leaves_no_job(database, transactions, kill_at):
    transactions.before = killed_before(kill_at)
    with pytest.raises(KilledError):
        submit_file(
            database, file_of(["same"] * 9), JobSettings(base_url=BASE_URL), SubmitOptions(), clock=ManualClock()
        )
    with database.read() as connection:
        assert jobs.all_jobs(connection) == []


# --- followers ---


def share_all(database: Store) -> list[int]:
    sizes, more = [], True
    while more:
        with database.write() as connection:
            settled, more = shared_ends.share_some(connection)
        sizes.append(sum(len(each.completed) + len(each.dead_lettered) for each in settled))
    return sizes


@pytest.mark.parametrize("end", [completed, dead_lettered])
def test_the_followers_of_one_leader_end_in_chunks(database, transactions, holder, end):
    job = submit_rows(database, [Row(f"r{n}", SAME) for n in range(12)])
    (lead,) = holder.claim(job).claims
    transactions.changes.clear()
    (settled,) = holder.settle(end(lead))
    assert settled.followers_left
    assert len(settled.completed) + len(settled.dead_lettered) == 1 + 3
    assert holder.claim(job).claims == []
    with database.write() as connection:
        assert jobs.finish(connection, [job.id], now=1) == []
    assert share_all(database) == [3, 3, 2]
    assert len(counted(database)) == 1
    assert max(transactions.changes) <= 3 + 6 + COUNTS
    assert table(database, "unshared_ends") == []
    assert len({row["response_id"] for row in stored(database).values()}) == 1
    assert {row["failure_code"] for row in stored(database).values()} == {stored(database)["r0"]["failure_code"]}


def test_many_leaders_that_end_together_share_their_ends_in_chunks_too(database, holder):
    job = submit_rows(database, [Row(f"r{n}", body(str(n % 4))) for n in range(24)])
    claims = holder.claim(job).claims
    holder.settle(*map(completed, claims))
    assert sum(share_all(database)) == 20 - 3
    rows = stored(database)
    by_body: dict[int, set[int]] = {}
    for name, row in rows.items():
        by_body.setdefault(int(name[1:]) % 4, set()).add(row["response_id"])
    assert [len(each) for each in by_body.values()] == [1] * 4
    assert counted(database) == {"completed": 24}


def test_followers_of_a_known_answer_end_in_chunks(database, holder):
    first = submit_rows(database, [Row("a", SAME)], name="first")
    holder.settle(completed(holder.claim(first).claims[0]))
    later = submit_rows(database, [Row(f"r{n}", SAME) for n in range(9)], name="later")
    (settled,) = holder.claim(later).settled
    assert (settled.cached, settled.followers_left) == (1 + 3, True)
    assert sum(share_all(database)) == 5


def test_a_discarded_leader_still_explains_the_followers_that_are_left(database, holder):
    job = submit_rows(database, [Row(f"r{n}", SAME) for n in range(9)])
    holder.settle(dead_lettered(holder.claim(job).claims[0], "bad"))
    change(database, "UPDATE requests SET state = 'cancelled' WHERE custom_id = 'r0'")
    share_all(database)
    assert counted(database) == {"cancelled": 1, "dead_lettered": 8}
    assert {row["failure_code"] for row in stored(database).values()} == {"bad"}


def test_a_leader_with_followers_left_is_edited_only_after_they_have_ended(database, holder):
    """They have its former body."""
    job = submit_rows(database, [Row(f"r{n}", SAME) for n in range(9)])
    holder.settle(dead_lettered(holder.claim(job).claims[0]))
    edits = [read_set("messages.0.content=other")]
    chosen = retry.choose(database, Filters(requests=(RequestId(1),)), edits)
    retry.put_back(database, chosen)
    assert counted(database) == {"dead_lettered": 8, "pending": 1}
    assert names(holder.claim(job).claims) == ["r0"]


def test_a_cancel_takes_the_followers_that_are_left(database, holder, clock):
    job = submit_rows(database, [Row(f"r{n}", SAME) for n in range(9)])
    holder.settle(completed(holder.claim(job).claims[0]))
    manage.cancel(database, job, clock=clock)
    assert share_all(database) == [0]
    assert counted(database) == {"completed": 4, "cancelled": 5}
    assert table(database, "unshared_ends") == []


def test_a_deleted_job_leaves_no_note_of_its_followers(database, holder, clock):
    job = submit_rows(database, [Row(f"r{n}", SAME) for n in range(9)])
    holder.settle(completed(holder.claim(job).claims[0]))
    manage.delete(database, job, clock=clock)
    assert table(database, "unshared_ends") == []


# --- dead letters ---


def kill_all(database: Store, holder, rows: list[Row], **named):
    job = submit_rows(database, rows, **named)
    holder.settle(*[dead_lettered(each) for each in holder.claim(job).claims])
    share_all(database)
    return job


@pytest.mark.parametrize("edits", [[], [read_set("temperature=1")], [read_set("messages.0.content=same")]])
@pytest.mark.parametrize("kill_at", [2, 4, 6, 8])
def test_dead_letters_are_put_back_in_chunks_and_the_same_command_continues(
    database, transactions, holder, edits, kill_at
):
    job = kill_all(database, holder, [Row(f"r{n}", body(str(n))) for n in range(10)])
    transactions.changes.clear()
    transactions.before = killed_before(kill_at)
    with pytest.raises(KilledError):
        retry.put_back(database, retry.choose(database, Filters(job=job.id), edits))
    done = counted(database)["pending"]
    transactions.before = killed_before(99)
    rest = retry.put_back(database, retry.choose(database, Filters(job=job.id), edits))
    assert done + rest.count == 10
    assert counted(database) == {"pending": 10}
    assert {row["revision"] for row in stored(database).values()} == {int(bool(edits))}
    # Per row: itself, its body twice, its group, and the note of it as a live row.
    assert max(transactions.changes) <= 3 * 6 + 3
    sent = names(holder.claim(job).claims)
    assert len(sent) == len({row["fingerprint"] for row in stored(database).values()})


def test_the_bytes_of_a_chunk_of_edited_bodies_are_bounded(database, holder, monkeypatch):
    monkeypatch.setattr(edit, "AT_ONCE", 100)
    monkeypatch.setattr(edit, "BYTES_AT_ONCE", 3 * len(body("0")))
    kill_all(database, holder, [Row(f"r{n}", body(str(n))) for n in range(8)])
    ids = [RequestId(n) for n in range(1, 9)]
    assert [len(chunk) for chunk in edit.chunks(database, ids)] == [3, 3, 2]


def test_rows_put_back_in_several_chunks_follow_the_first_of_their_body(database, holder):
    job = kill_all(database, holder, [Row(f"r{n}", body(str(n % 2))) for n in range(10)])
    retry.retry_job(database, job)
    assert names(holder.claim(job).claims) == ["r0", "r1"]
    assert set(leaders_of(database).values()) == {None, "r0", "r1"}


def test_a_large_group_that_waits_keeps_its_leader(database, transactions, holder):
    """To let an earlier row lead would change all of its followers in one transaction."""
    rows = [Row("dead", body("other")), *(Row(f"r{n}", SAME) for n in range(9))]
    job = submit_rows(database, rows)
    (dead,) = holder.claim(job, most=1).claims
    holder.settle(dead_lettered(dead))
    transactions.changes.clear()
    edits = [read_set("messages.0.content=same")]
    retry.put_back(database, retry.choose(database, Filters(job=job.id), edits))
    assert leaders_of(database) == {"dead": "r0", "r0": None, **{f"r{n}": "r0" for n in range(1, 9)}}
    assert max(transactions.changes) <= 8
    assert names(holder.claim(job).claims) == ["r0"]


def test_a_leader_that_has_ended_since_it_was_noted_is_not_followed(database, transactions, holder):
    job = submit_rows(database, [Row("dead", body("other")), *(Row(f"r{n}", body(f"same{n}")) for n in range(5))])
    dead, waits, *_ = holder.claim(job).claims
    holder.settle(dead_lettered(dead), *[])
    edits = [read_set("messages.0.content=same0")]
    chosen = retry.choose(database, Filters(job=job.id), edits)
    transactions.changes.clear()

    def end_meanwhile(number: int) -> None:
        if number == 3:
            transactions.before = killed_before(99)
            holder.settle(dead_lettered(waits))

    transactions.before = end_meanwhile
    retry.put_back(database, replace(chosen, ids=[dead.request_id]))
    assert states(database)["r0"] == "dead_lettered"
    assert leaders_of(database)["dead"] is None


def test_dead_letters_are_discarded_in_chunks(database, transactions, holder):
    job = kill_all(database, holder, [Row(f"r{n}", body(str(n))) for n in range(10)])
    transactions.changes.clear()
    assert discard.discard(database, discard.plan_discard(database, Filters(job=job.id))) == 10
    assert max(transactions.changes) <= 3 + COUNTS
