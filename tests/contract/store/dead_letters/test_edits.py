"""Dead letters with new bodies: made anew, grouped anew, and fenced against others who do the same."""

import json

import pytest

from batcher.domain.errors import UsageError
from batcher.domain.ids import RequestId
from batcher.domain.requests import Filters
from batcher.policy.input.body_edit import read_set
from batcher.policy.input.deduplication import fingerprint
from batcher.ports import Store
from batcher.services.dead_letters import retry
from batcher.services.dead_letters.retry import RetryPlan, choose, put_back
from batcher.store.dead_letters import filters as dead_letter_filters
from batcher.store.dead_letters import listing, redrive
from tests.support.stores import (
    SECOND,
    Row,
    completed,
    dead_lettered,
    names,
    numbered,
    states,
    stored,
    submit_rows,
    table,
)

PATH = "/v1/chat/completions"


def body(text: str, model: str = "m") -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}]}).encode()


def row(name: str, text: str | None = None) -> Row:
    return Row(name, body=body(text or name))


def edits(*texts: str):
    return [read_set(text) for text in texts]


def edit(database: Store, *ids: int, to: str) -> retry.Retried:
    filters = Filters(requests=tuple(RequestId(each) for each in ids))
    return put_back(database, choose(database, filters, edits(f"messages.0.content={to}")))


def leaders(database: Store) -> dict[str, str | None]:
    rows = stored(database)
    by_id = {each["id"]: name for name, each in rows.items()}
    return {name: by_id.get(each["leader_id"]) for name, each in rows.items()}


def reject(holder, job, *custom_ids: str) -> None:
    """These die; what else is claimed is given to nobody."""
    held = holder.claim(job).claims
    holder.settle(*(dead_lettered(each) for each in held if each.custom_id in custom_ids))


def test_an_edited_row_is_made_anew_around_its_body(database, holder):
    job = submit_rows(database, [row("a")])
    reject(holder, job, "a")
    edit(database, 1, to="b")
    made = stored(database)["a"]
    assert (made["fingerprint"], made["size"], made["revision"]) == (
        fingerprint(PATH, body("b")),
        len(body("b")),
        1,
    )
    (claim,) = holder.claim(job).claims
    assert (claim.body, claim.revision, claim.send) == (body("b"), 1, 2)


def test_every_former_body_is_kept(database, holder):
    job = submit_rows(database, [row("a")])
    for to in ("b", "c"):
        reject(holder, job, "a")
        edit(database, 1, to=to)
    kept = [(each["request_id"], each["revision"], each["body"]) for each in table(database, "former_bodies")]
    assert kept == [(1, 0, body("a")), (1, 1, body("b"))]


def test_an_edited_row_and_one_of_its_new_body_that_waits_are_sent_once(database, holder):
    job = submit_rows(database, [row("dead"), row("waits")])
    holder.settle(dead_lettered(holder.claim(job, most=1).claims[0]))
    edit(database, 1, to="waits")
    assert leaders(database) == {"dead": None, "waits": "dead"}
    (claim,) = holder.claim(job).claims
    holder.settle(completed(claim))
    assert set(states(database).values()) == {"completed"}


def test_an_edited_row_follows_a_row_of_its_new_body_that_is_on_its_way(database, holder):
    job = submit_rows(database, [row("dead"), row("flies")])
    dead, sending = holder.claim(job).claims
    holder.settle(dead_lettered(dead))
    edit(database, 1, to="flies")
    assert leaders(database) == {"dead": "flies", "flies": None}
    assert holder.claim(job).claims == []
    holder.settle(completed(sending))
    assert set(states(database).values()) == {"completed"}


def test_an_edited_row_whose_new_body_was_answered_is_not_sent(database, holder):
    job = submit_rows(database, [row("dead"), row("done")])
    dead, done = holder.claim(job).claims
    holder.settle(dead_lettered(dead), completed(done))
    edit(database, 1, to="done")
    claimed = holder.claim(job)
    assert (claimed.claims, claimed.settled[0].cached) == ([], 1)


def test_an_edited_leader_leaves_its_dead_followers_with_their_cause(database, holder, clock):
    job = submit_rows(database, [row("lead", "same"), row("follow", "same")])
    holder.settle(dead_lettered(holder.claim(job).claims[0], "first"))
    edit(database, 1, to="other")
    clock.at += SECOND
    holder.settle(dead_lettered(holder.claim(job).claims[0], "second", at=clock.at))
    with database.read() as connection:
        letters = listing.letters(connection, Filters(), limit=None)
    assert [(each.custom_id, each.code, each.message) for each in letters] == [
        ("lead", "second", "it was second"),
        ("follow", "first", "it was first"),
    ]


def test_edited_rows_that_become_the_same_are_sent_once(database, holder):
    job = submit_rows(database, [row("a"), row("b"), row("c")])
    reject(holder, job, "a", "b", "c")
    edit(database, 1, 2, 3, to="same")
    assert leaders(database) == {"a": None, "b": "a", "c": "a"}
    assert names(holder.claim(job).claims) == ["a"]


def test_rows_of_many_transactions_are_all_edited(database, holder, monkeypatch):
    monkeypatch.setattr("batcher.services.dead_letters.edit.AT_ONCE", 2)
    job = submit_rows(database, [row(f"r{n}") for n in range(5)])
    reject(holder, job, *(f"r{n}" for n in range(5)))
    assert edit(database, 1, 2, 3, 4, 5, to="same").count == 5
    assert {each["revision"] for each in stored(database).values()} == {1}
    assert names(holder.claim(job).claims) == ["r0"]


def test_one_refusal_among_many_changes_none_of_them(database, holder, monkeypatch):
    monkeypatch.setattr("batcher.services.dead_letters.edit.AT_ONCE", 2)
    unchecked = [Row(f"r{n}", body=b'{"model": "m"}') for n in range(4)]
    job = submit_rows(database, [*unchecked, row("odd")])
    reject(holder, job, *(f"r{n}" for n in range(4)), "odd")
    before = stored(database)
    with pytest.raises(UsageError, match=r"nothing was changed: request 5: `max_tokens` must be"):
        choose(database, Filters(), edits("max_tokens=0.5"))
    assert stored(database) == before


def test_a_row_that_the_checks_never_passed_can_be_edited(database, holder):
    """It was submitted with --no-body-checks, for a server that takes it so."""
    job = submit_rows(database, [Row("odd", body=b'{"model": "m"}')])
    reject(holder, job, "odd")
    assert put_back(database, choose(database, Filters(), edits("temperature=1"))).count == 1


def test_many_refusals_are_counted_and_some_are_named(database, holder):
    job = submit_rows(database, [row(f"r{n}") for n in range(12)])
    reject(holder, job, *(f"r{n}" for n in range(12)))
    with pytest.raises(UsageError, match=r"12 requests cannot be edited that way.*request 10: .*; and 2 more"):
        choose(database, Filters(), edits("max_tokens=0.5"))


def test_what_another_has_edited_meanwhile_is_left_alone(database, holder):
    job = submit_rows(database, [row("a"), row("b")])
    reject(holder, job, "a", "b")
    chosen = choose(database, Filters(), edits("temperature=1"))
    edit(database, 1, to="theirs")
    reject(holder, job, "a")
    assert put_back(database, chosen).count == 1
    assert states(database) == {"a": "dead_lettered", "b": "pending"}
    assert next(each["body"] for each in table(database, "bodies")) == body("theirs")


def test_what_another_has_put_back_meanwhile_is_not_put_back_twice(database, holder):
    job = submit_rows(database, [row("a")])
    reject(holder, job, "a")
    chosen = choose(database, Filters(), edits("temperature=1"))
    put_back(database, RetryPlan(ids=[RequestId(1)]))
    assert put_back(database, chosen).count == 0
    assert (stored(database)["a"]["revision"], table(database, "former_bodies")) == (0, [])


def test_only_dead_letters_are_discarded(database, holder):
    job = submit_rows(database, numbered(3))
    dead, done, _ = holder.claim(job).claims
    holder.settle(dead_lettered(dead), completed(done))
    with database.write() as connection:
        assert redrive.discard(connection, [RequestId(1), RequestId(2), RequestId(3), RequestId(9)]) == 1
    assert states(database) == {"r0": "cancelled", "r1": "completed", "r2": "claimed"}


def test_the_smallest_is_the_first_of_the_shortest_bodies(database, holder):
    job = submit_rows(database, [row("a", "long"), row("b", "x"), row("c", "y")])
    reject(holder, job, "a", "b", "c")
    with database.read() as connection:
        assert dead_letter_filters.smallest(connection, Filters()) == 2
        assert dead_letter_filters.smallest(connection, Filters(code="none")) is None
