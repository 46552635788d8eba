"""`batcher dlq retry --set --unset`: bodies changed on the way back, all or none."""

import json

import pytest

from tests.support.commands import batcher, chat
from tests.support.jobs import run_job, store_in
from tests.support.stores import Row, dead_lettered, holder_of, job_now, stored, table

BIG = (
    b'{ "model": "m",  "messages": [{"role": "user", "content": "one"}], '
    b'"seed": 123456789012345678901, "x": 1.50 }'
)


def body(text: str, **more) -> bytes:
    return json.dumps(chat(text, **more)).encode()


@pytest.fixture
def letters(folder):
    """Requests 1 to 3 are dead; 2 and 3 have the same body as one another."""
    return run_job(
        folder,
        [Row("bad-one", body=BIG), Row("bad-two", body=body("two")), Row("bad-three", body=body("two"))],
        code="context_length_exceeded",
    )


def rows_of(folder):
    with store_in(folder) as database:
        bodies = {row["request_id"]: row["body"] for row in table(database, "bodies")}
        return {name: {**row, "body": bodies[row["id"]]} for name, row in stored(database).items()}


def former(folder):
    with store_in(folder) as database:
        return [tuple(row.values()) for row in table(database, "former_bodies")]


@pytest.mark.usefixtures("letters")
def test_only_the_bytes_of_the_value_change_and_the_former_body_is_kept(folder):
    called = batcher("dlq", "retry", "1", "--set", "messages.0.content=two\nlines", "--set", 'model="n"')
    assert called.code == 0
    row = rows_of(folder)["bad-one"]
    assert row["body"] == BIG.replace(b'"one"', b'"two\\nlines"').replace(b'"m"', b'"n"')
    assert (row["state"], row["revision"], row["size"]) == ("pending", 1, len(row["body"]))
    assert former(folder) == [(1, 0, BIG)]


@pytest.mark.usefixtures("letters")
def test_a_member_is_taken_out(folder):
    batcher("dlq", "retry", "1", "--unset", "seed")
    assert rows_of(folder)["bad-one"]["body"] == BIG.replace(b', "seed": 123456789012345678901', b"")


@pytest.mark.usefixtures("letters")
def test_estimates_are_made_anew(folder):
    before = rows_of(folder)["bad-one"]
    batcher("dlq", "retry", "1", "--set", "max_tokens=77", "--set", f"messages.0.content={'x' * 700}", "--yes")
    row = rows_of(folder)["bad-one"]
    assert row["est_output"] == 77
    assert row["est_input"] >= 200 > before["est_input"]
    assert row["fingerprint"] != before["fingerprint"]


@pytest.mark.usefixtures("letters")
def test_another_model_is_another_route_of_the_job(folder):
    batcher("dlq", "retry", "--all", "--set", "model=larger")
    assert {row["route_id"] for row in rows_of(folder).values()} == {2}
    with store_in(folder) as database:
        assert [(row["job_id"], row["model"]) for row in table(database, "routes")] == [(1, "m"), (1, "larger")]
        assert table(database, "jobs")[0]["settings_version"] == 2


@pytest.mark.usefixtures("letters")
def test_rows_are_grouped_by_their_new_bodies(folder):
    batcher("dlq", "retry", "--all", "--set", "messages.0.content=same", "--unset", "seed", "--unset", "x")
    rows = rows_of(folder)
    # The first is spelled otherwise, so its bytes stay its own.
    assert {name: row["leader_id"] for name, row in rows.items()} == {
        "bad-one": None,
        "bad-two": None,
        "bad-three": 2,
    }


@pytest.mark.usefixtures("letters")
def test_a_follower_edited_alone_leaves_its_group_and_a_leader_edited_alone_too(folder):
    batcher("dlq", "retry", "3", "--set", "temperature=0", "--yes")
    rows = rows_of(folder)
    assert (rows["bad-three"]["leader_id"], rows["bad-three"]["state"]) == (None, "pending")
    assert rows["bad-two"]["state"] == "dead_lettered"
    batcher("dlq", "retry", "2", "--set", "temperature=0", "--yes")
    rows = rows_of(folder)
    assert (rows["bad-two"]["leader_id"], rows["bad-three"]["leader_id"]) == (None, 2)


@pytest.mark.usefixtures("letters")
def test_one_that_is_refused_at_the_door_stops_them_all(folder):
    before = rows_of(folder)
    called = batcher("dlq", "retry", "--all", "--set", "seed.x=1")
    assert (called.code, called.out) == (2, "")
    assert "1 request cannot be edited that way; nothing was changed" in called.err
    assert "request 1: `seed` is a number; it has no `x`" in called.err
    assert rows_of(folder) == before
    assert former(folder) == []


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--set", "model=1"], "request 1: `model` must be a non-empty string; request 2: `model` must be"),
        (["--set", "max_tokens=0"], "`max_tokens` must be a positive integer"),
        (["--set", "stream=true"], "cannot be run as a batch"),
        (["--unset", "messages"], "`messages` is missing"),
        (["--unset", "messages.0"], "`messages` must be a non-empty list"),
        (["--set", "messages.1.content=x"], "`messages` has 1 item, numbered from 0; there is no item 1"),
        (["--set", "model.name=x"], "`model` is a string; it has no `name`"),
        (["--set", "messages.first=x"], "`first` is not the number of an item"),
        (["--unset", "temprature"], "change none of the bodies"),
        (["--set", "model=m"], "change none of the bodies"),
        (["--set", "model"], "has no `=`"),
        (["--set", "a..b=1"], "a part of the path is empty"),
        (["--set", "n=1", "--unset", "n"], "n is set, unset or moved twice"),
    ],
)
@pytest.mark.usefixtures("letters")
def test_an_edit_that_cannot_be_is_refused_and_changes_nothing(folder, args, says):
    before = rows_of(folder)
    called = batcher("dlq", "retry", "--all", *args)
    assert (called.code, called.out) == (2, "")
    assert says in called.err
    assert rows_of(folder) == before


@pytest.mark.usefixtures("letters")
def test_a_row_that_is_as_asked_already_goes_back_without_a_revision(folder):
    batcher("dlq", "retry", "--all", "--unset", "seed")
    rows = rows_of(folder)
    assert {name: row["revision"] for name, row in rows.items()} == {"bad-one": 1, "bad-two": 0, "bad-three": 0}
    assert {row["state"] for row in rows.values()} == {"pending"}


def test_where_a_job_shares_no_answers_edited_rows_do_not_either(folder):
    run_job(folder, [Row("bad-a", body=body("a"), shares=False), Row("bad-b", body=body("b"))], cache="off")
    batcher("dlq", "retry", "--all", "--set", "messages.0.content=x")
    assert [row["fingerprint"] for row in rows_of(folder).values()] == [None, None]


def test_with_deterministic_answers_an_edit_decides_whether_a_row_shares(folder):
    run_job(folder, [Row("bad-a", body=body("a"), shares=False)], cache="deterministic")
    batcher("dlq", "retry", "--all", "--set", "temperature=0", "--yes")
    assert rows_of(folder)["bad-a"]["fingerprint"] is not None


def test_the_history_outlives_an_edit_and_says_which_body_was_sent(folder, letters):
    batcher("dlq", "retry", "1", "--set", "max_tokens=9", "--yes")
    with store_in(folder) as database:
        holder = holder_of(database)
        (claim,) = holder.claim(job_now(database, letters)).claims
        assert (claim.revision, claim.send) == (1, 2)
        holder.settle(dead_lettered(claim, "late"))
    shown = batcher("dlq", "show", "1", "--json").json
    assert [(each["attempt"], each["revision"], each["code"]) for each in shown["history"]] == [
        (1, 0, "context_length_exceeded"),
        (2, 1, "late"),
    ]
    assert shown["body"]["max_tokens"] == 9
    assert batcher("dlq", "show", "1").out.splitlines()[6].split()[:2] == ["attempt", "revision"]
