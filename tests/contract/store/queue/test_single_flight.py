"""The contract of every Queue for rows with the same body: one is sent, the others share its end."""

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from batcher.store.jobs import jobs
from batcher.store.queue import cache_hits, settle
from batcher.store.queue.cache_hits import PARK_US
from batcher.store.reports import cache
from tests.support.stores import (
    PLENTY,
    START,
    Row,
    change,
    completed,
    dead_lettered,
    holder_of,
    job_now,
    names,
    requeued,
    routes_of,
    states,
    stored,
    submit_rows,
    table,
    wants,
)

SAME_BODY = b'{"same": true}'


# --- followers ---


async def test_followers_are_not_claimed_and_complete_with_their_leader(database, ask, queue):
    job = submit_rows(database, [Row("lead", SAME_BODY), Row("other"), Row("f1", SAME_BODY), Row("f2", SAME_BODY)])
    lead, other = (await ask(job)).claims
    assert names([lead, other]) == ["lead", "other"]
    (settled,) = await queue.settle([completed(lead, b"shared")])
    rows = stored(database)
    assert sorted(settled.completed) == [rows["lead"]["id"], rows["f1"]["id"], rows["f2"]["id"]]
    assert settled.cached == 2
    assert {rows[name]["response_id"] for name in ("lead", "f1", "f2")} == {rows["lead"]["response_id"]}
    assert [rows[name]["cached"] for name in ("lead", "f1", "f2")] == [0, 1, 1]
    assert [rows[name]["sends"] for name in ("f1", "f2")] == [0, 0]
    assert len(table(database, "attempts")) == 1


@pytest.mark.parametrize(("end", "state"), [(completed, "completed"), (dead_lettered, "dead_lettered")])
async def test_a_follower_that_was_attached_after_the_batch_was_read_ends_with_its_leader(
    database, ask, queue, monkeypatch, end, state
):
    """Where transactions run beside one another, that happens; here in the same transaction."""
    job = submit_rows(database, [Row("lead"), Row("late")])
    (lead,) = (await ask(job, most=1)).claims

    def attaching(write):
        def attach(connection, *rest, **named):
            attached = text("UPDATE requests SET leader_id = :lead WHERE custom_id = 'late'")
            connection.execute(attached, {"lead": lead.request_id})
            return write(connection, *rest, **named)

        return attach

    for name in ("_write_completes", "_write_dead_letters"):
        monkeypatch.setattr(settle, name, attaching(getattr(settle, name)))
    await queue.settle([end(lead)])
    assert states(database, job) == {"lead": state, "late": state}


async def test_followers_die_with_their_leader_for_the_same_cause(database, ask, queue):
    job = submit_rows(database, [Row("lead", SAME_BODY), Row("f1", SAME_BODY)])
    (lead,) = (await ask(job)).claims
    (settled,) = await queue.settle([dead_lettered(lead, "too_long")])
    rows = stored(database)
    assert sorted(settled.dead_lettered) == [rows["lead"]["id"], rows["f1"]["id"]]
    assert (rows["f1"]["state"], rows["f1"]["failure_code"], rows["f1"]["failure_kind"]) == (
        "dead_lettered",
        "too_long",
        "permanent",
    )
    assert len(table(database, "attempts")) == 1


async def test_followers_wait_while_their_leader_is_requeued(database, ask, queue):
    job = submit_rows(database, [Row("lead", SAME_BODY), Row("f1", SAME_BODY)])
    (lead,) = (await ask(job)).claims
    assert list(await queue.settle([requeued(lead)])) == []
    assert states(database) == {"lead": "pending", "f1": "pending"}
    assert names((await ask(job)).claims) == ["lead"]


async def test_rows_that_share_nothing_are_each_sent(database, ask):
    job = submit_rows(database, [Row("a", SAME_BODY, shares=False), Row("b", SAME_BODY, shares=False)])
    assert names((await ask(job)).claims) == ["a", "b"]


async def test_the_same_body_on_another_path_is_another_request(database, ask):
    job = submit_rows(database, [Row("a", SAME_BODY), Row("b", SAME_BODY, path="/v1/completions")])
    assert names((await ask(job)).claims) == ["a", "b"]


# --- answers of other jobs ---


async def test_a_row_answered_in_an_earlier_job_completes_at_the_claim_with_its_followers(database, ask, queue):
    earlier = submit_rows(database, [Row("a", SAME_BODY)], name="earlier")
    await queue.settle([completed((await ask(earlier)).claims[0], b"known")])
    later = submit_rows(database, [Row("x", SAME_BODY), Row("y", SAME_BODY), Row("z")], name="later")
    claimed = await ask(later)
    assert names(claimed.claims) == ["z"]
    rows = stored(database, later)
    (settled,) = claimed.settled
    assert (settled.job_id, settled.cached) == (later.id, 2)
    assert sorted(settled.completed) == [rows["x"]["id"], rows["y"]["id"]]
    assert [rows[name]["state"] for name in ("x", "y")] == ["completed", "completed"]
    assert [rows[name]["cached"] for name in ("x", "y")] == [1, 1]
    assert rows["x"]["response_id"] == rows["y"]["response_id"] == stored(database, earlier)["a"]["response_id"]


async def test_a_job_that_reuses_nothing_sends_what_an_earlier_job_has_answered(database, ask, queue):
    earlier = submit_rows(database, [Row("a", SAME_BODY)], name="earlier")
    await queue.settle([completed((await ask(earlier)).claims[0])])
    later = submit_rows(database, [Row("x", SAME_BODY), Row("y", SAME_BODY)], name="later", reuse_earlier=False)
    claimed = await ask(later)
    assert names(claimed.claims) == ["x"]
    assert list(claimed.settled) == []
    await queue.settle([completed(claimed.claims[0], b"mine")])
    assert states(database, later) == {"x": "completed", "y": "completed"}
    own = stored(database, later)["y"]["response_id"]
    assert [each["body"] for each in table(database, "responses") if each["id"] == own] == [b"mine"]


async def test_a_dead_letter_is_not_remembered_as_an_answer(database, ask, queue):
    earlier = submit_rows(database, [Row("a", SAME_BODY)], name="earlier")
    await queue.settle([dead_lettered((await ask(earlier)).claims[0])])
    later = submit_rows(database, [Row("x", SAME_BODY)], name="later")
    assert names((await ask(later)).claims) == ["x"]


async def test_an_answer_of_one_endpoint_serves_no_other(database, ask, queue):
    earlier = submit_rows(database, [Row("a", SAME_BODY)], name="earlier")
    await queue.settle([completed((await ask(earlier)).claims[0])])
    elsewhere = submit_rows(database, [Row("x", SAME_BODY)], name="elsewhere", base_url="http://127.0.0.1:9/v1")
    assert names((await ask(elsewhere)).claims) == ["x"]


async def test_a_cleared_cache_answers_nothing(database, ask, queue):
    earlier = submit_rows(database, [Row("a", SAME_BODY)], name="earlier")
    await queue.settle([completed((await ask(earlier)).claims[0])])
    with database.write() as connection:
        cache.clear(connection, before=None)
    later = submit_rows(database, [Row("x", SAME_BODY)], name="later")
    assert names((await ask(later)).claims) == ["x"]


async def test_a_row_whose_body_another_job_has_in_flight_waits_for_it(database, ask, queue, clock):
    one = submit_rows(database, [Row("a", SAME_BODY)], name="one")
    two = submit_rows(database, [Row("x", SAME_BODY), Row("y")], name="two")
    (mine,) = (await ask(one)).claims
    claimed = await ask(two)
    assert names(claimed.claims) == ["y"]
    (route,) = routes_of(database, two)
    assert claimed.next_due == {route.id: START + PARK_US}
    await queue.settle([completed(mine)])
    clock.at += PARK_US
    assert (await ask(two)).settled[0].cached == 1
    assert states(database, two)["x"] == "completed"


async def test_a_parked_row_is_sent_itself_when_the_row_in_flight_died(database, ask, queue, clock):
    one = submit_rows(database, [Row("a", SAME_BODY)], name="one")
    two = submit_rows(database, [Row("x", SAME_BODY)], name="two")
    (mine,) = (await ask(one)).claims
    await ask(two)
    await queue.settle([dead_lettered(mine)])
    clock.at += PARK_US
    assert names((await ask(two)).claims) == ["x"]


async def test_two_jobs_in_one_claim_send_a_body_once(database, ask):
    one = submit_rows(database, [Row("a", SAME_BODY)], name="one")
    two = submit_rows(database, [Row("x", SAME_BODY)], name="two")
    assert names((await ask(one, two)).claims) == ["a"]
    assert states(database, two) == {"x": "pending"}


async def test_a_job_that_reuses_nothing_waits_for_no_other(database, ask):
    one = submit_rows(database, [Row("a", SAME_BODY)], name="one")
    two = submit_rows(database, [Row("x", SAME_BODY)], name="two", reuse_earlier=False)
    assert names((await ask(one, two)).claims) == ["a", "x"]


# --- a job that moves to another endpoint ---


async def test_an_answer_that_comes_back_after_its_job_has_moved_serves_only_where_it_was_given(
    database, ask, queue, clock
):
    elsewhere = "http://127.0.0.1:9/v1"
    moved = submit_rows(database, [Row("lead", SAME_BODY), Row("follower", SAME_BODY)], name="moved")
    (lead,) = (await ask(moved)).claims
    with database.write() as connection:
        jobs.remember(connection, moved.id, settings=replace(moved.settings, base_url=elsewhere))
    there = submit_rows(database, [Row("there", SAME_BODY)], name="there", base_url=elsewhere)
    await ask(there)
    await queue.settle([completed(lead, b"from here")])
    # Rows of one job share their leader's answer, which says where it is from.
    assert states(database, moved) == {"lead": "completed", "follower": "completed"}
    (answer,), (cached,) = table(database, "responses"), table(database, "cache")
    assert (answer["endpoint_id"], cached["cache_scope"]) == (moved.endpoint_id, moved.endpoint_id)
    clock.at += PARK_US
    assert names((await ask(there)).claims) == ["there"]
    here = submit_rows(database, [Row("here", SAME_BODY)], name="here")
    assert (names((await ask(here)).claims), states(database, here)) == ([], {"here": "completed"})


# --- many known answers at once ---


async def known_rows(database, ask, queue, count: int) -> list[Row]:
    """Rows of a later job, each of which an earlier job has answered."""
    rows = [Row(f"r{number}", b'{"number": %d}' % number) for number in range(count)]
    earlier = submit_rows(database, rows, name="earlier")
    claims = (await ask(earlier, most=count)).claims
    await queue.settle([completed(claim) for claim in claims])
    return rows


async def test_where_all_that_was_wanted_is_known_the_claim_answers_what_comes_behind_too(database, ask, queue):
    rows = await known_rows(database, ask, queue, 30)
    follower = Row("follower", rows[20].body)
    later = submit_rows(database, [*rows, follower], name="later")
    claimed = await ask(later, most=2)
    (settled,) = claimed.settled
    assert list(claimed.claims) == []
    assert settled.cached == 31
    assert sorted(settled.completed) == sorted(each["id"] for each in stored(database, later).values())
    assert set(states(database, later).values()) == {"completed"}


async def test_rows_behind_that_are_not_known_are_left_for_the_next_claim(database, ask, queue):
    rows = await known_rows(database, ask, queue, 6)
    later = submit_rows(
        database, [*rows[:4], Row("new"), Row("own", SAME_BODY, shares=False), *rows[4:]], name="later"
    )
    first = await ask(later, most=2)
    assert (names(first.claims), first.settled[0].cached) == ([], 6)
    assert states(database, later)["new"] == "pending"
    assert names((await ask(later, most=2)).claims) == ["new", "own"]


async def test_of_a_route_that_may_take_no_bytes_only_known_rows_are_settled(database, ask, queue):
    rows = await known_rows(database, ask, queue, 30)
    later = submit_rows(database, [*rows, Row("new")], name="later")
    wanted = [replace(want, most_bytes=0) for want in wants(routes_of(database, later), most=2)]
    first = await queue.claim(wanted, most_bytes=PLENTY)
    # There may be more of them behind.
    assert (list(first.claims), first.settled[0].cached, first.next_due) == ([], 30, {})
    then = await queue.claim(wanted, most_bytes=PLENTY)
    assert (list(then.claims), list(then.settled)) == ([], [])
    assert then.next_due == {wanted[0].route.id: START}
    assert names((await ask(later)).claims) == ["new"]


async def test_a_job_that_reuses_nothing_is_not_answered_ahead(database, ask, queue):
    rows = await known_rows(database, ask, queue, 4)
    later = submit_rows(database, rows, name="later", reuse_earlier=False)
    claimed = await ask(later, most=2)
    assert (names(claimed.claims), list(claimed.settled)) == (["r0", "r1"], [])


async def test_one_claim_answers_a_bounded_number_of_rows(database, ask, queue, monkeypatch):
    monkeypatch.setattr(cache_hits, "_MOST_AHEAD", 1_000)
    rows = await known_rows(database, ask, queue, 2_100)
    later = submit_rows(database, rows, name="later")
    counts = [(await ask(later, most=10)).settled[0].cached for _ in range(3)]
    assert counts == [1_010, 1_010, 80]
    assert (await ask(later, most=10)).next_due == {routes_of(database, later)[0].id: None}


@pytest.mark.parametrize("in_flight", [False, True])
def test_endpoints_of_one_scope_share_their_answers(database, in_flight):
    here = submit_rows(database, [Row("a", body=b"{}")])
    there = submit_rows(database, [Row("b", body=b"{}")], name="there", base_url="http://127.0.0.1:9/v1")
    change(database, "UPDATE endpoints SET cache_scope = :scope", scope=here.endpoint_id)
    holder = holder_of(database)
    (claim,) = holder.claim(here).claims
    if not in_flight:
        holder.settle(completed(claim))
    moved = job_now(database, there)
    assert holder.claim(moved).claims == []
    assert states(database, moved) == {"b": "pending" if in_flight else "completed"}
