"""`batcher dlq retry --probe`: one goes first, and the others follow only where it was answered."""

import json
import time

from tests.support.commands import batcher, chat, job_file, line
from tests.support.jobs import rows, run_job, store_in
from tests.support.programs import replying, running, until
from tests.support.stores import Row, states

ANSWER = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13},
}
TOO_LONG = {"error": {"message": "prompt is too long", "code": "context_length_exceeded", "type": "x"}}


def chat_row(name, text, **more):
    return Row(name, body=json.dumps(chat(text, **more)).encode())


def dead_job(folder, url, *of, name="job"):
    """A job to this provider, all of whose rows died."""
    return run_job(folder, of, name=name, base_url=url, code="too_long")


THREE = (chat_row("bad-large", "x" * 100), chat_row("bad-small", "x"), chat_row("bad-middle", "x" * 50))


def states_of(folder):
    with store_in(folder) as database:
        return states(database)


def sent(bodies):
    return [json.loads(body)["messages"][0]["content"] for body in bodies]


def test_the_smallest_goes_first_and_the_others_follow_its_answer(folder):
    with replying(lambda *_: (200, ANSWER)) as (provider, bodies):
        dead_job(folder, provider.url, *THREE)
        called = batcher("dlq", "retry", "--all", "--probe")
        assert called.code == 0
        assert sent(bodies) == ["x"]
        assert "request 2 (job 1, line 2, bad-small), the smallest of 3, is sent first" in called.err
        out = called.out.splitlines()
        assert out[0].startswith("request 2 was answered in ")
        assert out[0].endswith("(11 tokens in, 2 out)")
        assert out[1:] == ["2 dead letters are pending again, with all attempts", "next: batcher resume 1"]
        assert states_of(folder) == {"bad-large": "pending", "bad-small": "completed", "bad-middle": "pending"}
        assert batcher("resume", "1", "-q", "-o", "out.jsonl").code == 0
    assert len(bodies) == 3


def test_one_that_fails_again_leaves_the_others_alone(folder):
    with replying(lambda *_: (400, TOO_LONG)) as (provider, bodies):
        dead_job(folder, provider.url, *THREE)
        called = batcher("dlq", "retry", "--code", "too_long", "--probe")
    assert called.code == 3
    assert len(bodies) == 1
    assert called.out.splitlines()[0] == (
        "request 2 failed again: 400 context_length_exceeded: prompt is too long"
    )
    assert "next: batcher dlq show 2" in called.out
    assert "the 2 others are not requeued" in called.out
    assert set(states_of(folder).values()) == {"dead_lettered"}
    history = batcher("dlq", "show", "2", "--json").json["history"]
    assert [each["code"] for each in history] == ["too_long", "context_length_exceeded"]


def test_the_smallest_is_that_of_the_edited_bodies_and_the_others_are_edited_when_they_follow(folder):
    with replying(lambda *_: (200, ANSWER)) as (provider, bodies):
        dead_job(folder, provider.url, *THREE[:2], chat_row("bad-long-name", "", user="x" * 60))
        called = batcher("dlq", "retry", "--all", "--probe", "--set", "model=n", "--unset", "user")
        assert called.code == 0
        assert sent(bodies) == [""]
        assert json.loads(bodies[0])["model"] == "n"
        assert batcher("resume", "1", "-q", "-o", "out.jsonl").code == 0
    assert [json.loads(body)["model"] for body in bodies] == ["n"] * 3


def test_an_edited_one_that_fails_again_keeps_its_edit_and_the_others_are_not_edited(folder):
    with replying(lambda *_: (400, TOO_LONG)) as (provider, _):
        dead_job(folder, provider.url, *THREE)
        assert batcher("dlq", "retry", "--all", "--probe", "--set", "model=n").code == 3
    shown = [batcher("dlq", "show", n, "--json").json for n in (1, 2)]
    assert [each["body"]["model"] for each in shown] == ["m", "n"]
    assert [each["revision"] for each in shown[1]["history"]] == [0, 1]


def test_an_edit_that_is_refused_sends_nothing(folder):
    with replying(lambda *_: (200, ANSWER)) as (provider, bodies):
        dead_job(folder, provider.url, *THREE)
        called = batcher("dlq", "retry", "--all", "--probe", "--set", "max_tokens=none")
    assert called.code == 2
    assert bodies == []
    assert set(states_of(folder).values()) == {"dead_lettered"}


def test_a_pause_is_told_and_nothing_is_lost(folder):
    with replying(lambda *_: (401, {"error": {"message": "no such key", "code": "invalid_api_key"}})) as (
        provider,
        _,
    ):
        dead_job(folder, provider.url, *THREE)
        called = batcher("dlq", "retry", "--all", "--probe")
    assert called.code == 4
    assert "request 2 was not answered; it is pending" in called.out
    assert "paused: " in called.out
    assert "next: batcher resume 1" in called.out
    assert states_of(folder) == {
        "bad-large": "dead_lettered",
        "bad-small": "pending",
        "bad-middle": "dead_lettered",
    }


def test_a_lone_one_is_sent_and_its_results_are_named(folder):
    with replying(lambda *_: (200, ANSWER)) as (provider, _):
        dead_job(folder, provider.url, THREE[0])
        called = batcher("dlq", "retry", "1", "--probe")
    assert called.code == 0
    assert "is sent first" in called.err
    assert "smallest" not in called.err
    assert called.out.splitlines()[1:] == ["next: batcher results 1"]


def test_it_refuses_where_other_rows_of_the_job_would_be_sent_too(folder):
    with replying(lambda *_: (200, ANSWER)) as (provider, bodies):
        run_job(folder, rows(dead=1, pending=2), base_url=provider.url)
        called = batcher("dlq", "retry", "--all", "--probe")
    assert called.code == 2
    assert "job 1 (job) has 2 rows not finished, which a probe would send too" in called.err
    assert "batcher resume 1" in called.err
    assert bodies == []
    assert states_of(folder)["bad-0"] == "dead_lettered"


def test_where_a_key_is_missing_nothing_is_changed(folder):
    run_job(folder, THREE, base_url="https://api.example.com/v1")
    called = batcher("dlq", "retry", "--all", "--probe")
    assert called.code == 2
    assert "OPENAI_API_KEY" in called.err
    assert set(states_of(folder).values()) == {"dead_lettered"}


def test_another_job_s_waiting_rows_are_not_sent(folder):
    with replying(lambda *_: (200, ANSWER)) as (provider, bodies):
        run_job(
            folder, [chat_row("open-1", "waits"), chat_row("open-2", "too")], name="other", base_url=provider.url
        )
        dead_job(folder, provider.url, *THREE, name="mine")
        assert batcher("dlq", "retry", "--job", "mine", "--probe").code == 0
    assert sent(bodies) == ["x"]


def test_no_dead_letter_is_no_probe(folder):
    run_job(folder, rows(answered=1))
    assert "nothing was requeued" in batcher("dlq", "retry", "--all", "--probe").out


def test_a_probe_beside_a_runner_is_sent_by_it(folder, tmp_path):
    def reply(_, body):
        text = json.loads(body)["messages"][0]["content"]
        if text == "slow":
            time.sleep(3)
        return 200, ANSWER

    with replying(reply) as (provider, bodies):
        dead_job(folder, provider.url, *THREE)
        job_file(tmp_path / "slow.jsonl", line("s", chat("slow")))
        with running("run", "slow.jsonl", "--base-url", provider.url) as program:
            until(lambda: len(bodies) == 1)
            called = batcher("dlq", "retry", "--job", "1", "--probe")
            code, _, _ = program.end()
    assert (called.code, code) == (0, 0)
    assert f"(pid {program.pid}) is using this store; it will send the request" in called.err
    assert sent(bodies) == ["slow", "x"]


def test_a_row_edited_to_another_model_is_sent_by_the_runner_that_is_at_work(folder, tmp_path):
    """The route is new to the job: a runner that holds the job learns of it."""

    def reply(_, body):
        asked = json.loads(body)
        if asked["model"] == "small":
            return 400, TOO_LONG
        if asked["messages"][0]["content"] == "slow":
            time.sleep(4)
        return 200, ANSWER

    with replying(reply) as (provider, bodies):
        job_file(tmp_path / "job.jsonl", line("bad", chat("a", model="small")), line("good", chat("slow")))
        with running("run", "job.jsonl", "--base-url", provider.url) as program:
            until(lambda: len(bodies) == 2 and "dead_lettered" in states_of(folder).values())
            called = batcher("dlq", "retry", "--all", "--set", "model=large")
            assert "the runner that is using this store" in called.out
            code, _, _ = program.end()
    assert code == 0
    assert set(states_of(folder).values()) == {"completed"}
    assert sorted(json.loads(body)["model"] for body in bodies) == ["large", "m", "small"]
