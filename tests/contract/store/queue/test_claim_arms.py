"""The arms of the claim: due rows, rows that were returned, and rows that were never claimed."""

from batcher.store.dead_letters import redrive
from tests.support.stores import (
    SECOND,
    Row,
    change,
    dead_lettered,
    holder_of,
    names,
    released,
    requeued,
    rescue,
    rows_named,
    stored,
    submit_rows,
)


def test_due_rows_come_first_then_returned_ones_then_fresh_ones_then_those_a_holder_died_with(
    database, holder, clock
):
    job = submit_rows(database, rows_named("lost", "due", "given back", "fresh", "fresh too"))
    doomed = holder_of(database, clock)
    assert names(doomed.claim(job, most=1).claims) == ["lost"]
    due, back = holder.claim(job, most=2).claims
    holder.settle(requeued(due, clock.at + SECOND), released(back))
    # Only the holder that died is without an end.
    change(database, "UPDATE holders SET ended_at = 1 WHERE id = :id", id=holder.id)
    assert rescue(database) == 1
    clock.at += 2 * SECOND
    after = holder_of(database, clock)
    assert names(after.claim(job).claims) == ["due", "given back", "fresh", "fresh too", "lost"]


def returned(database) -> dict[str, int]:
    return {name: row["returned"] for name, row in stored(database).items()}


def test_every_way_back_marks_a_row_as_returned_and_a_row_that_was_never_claimed_is_fresh(database, holder):
    submit = rows_named("released", "requeued", "redriven", "rescued", "fresh")
    job = submit_rows(database, submit)
    back, again, dead, _ = holder.claim(job, most=4).claims
    assert set(returned(database).values()) == {0}
    holder.settle(released(back), requeued(again, None), dead_lettered(dead))
    with database.write() as connection:
        redrive.put_back(connection, [dead.request_id])
    rescue(database)
    assert returned(database) == {"released": 1, "requeued": 1, "redriven": 1, "rescued": 1, "fresh": 0}


def test_rows_of_one_body_that_are_put_back_are_all_returned_whichever_leads(database, holder):
    job = submit_rows(database, [Row("leader", b'{"same": 1}'), Row("follower", b'{"same": 1}'), Row("later")])
    leader, _ = holder.claim(job).claims
    holder.settle(dead_lettered(leader))
    with database.write() as connection:
        redrive.put_back(connection, [row["id"] for row in stored(database).values() if row["settled_at"]])
    assert returned(database) == {"leader": 1, "follower": 1, "later": 0}
