"""`batcher dlq summary`: what failed, by cause, with figures and a way out."""

import pytest

from batcher.domain.settlements import DeadLetter, Settlement
from batcher.domain.states import AttemptKind
from tests.support.commands import batcher
from tests.support.jobs import store_in
from tests.support.stores import Row, attempt_of, holder_of, submit_rows

TOO_LONG = (
    "This model's maximum context length is {limit} tokens. However, your messages resulted in {tokens} tokens."
)

#: code → (kind, status, message).
CAUSES = {
    "context_length_exceeded": ("permanent", 400, TOO_LONG),
    "content_filter": ("permanent", 200, "the answer was withheld"),
    "timeout": ("transient", None, "no whole reply within 600 s"),
    "model_not_found": ("permanent", 404, "there is no such model"),
    "server_error": ("transient", 500, "something broke"),
}


def died(claim, code, *, kind="permanent", status=400, message="no", reply=None):
    attempt = attempt_of(AttemptKind(kind), status=status, code=code, message=message, reply=reply)
    return Settlement(claim=claim, decision=DeadLetter(kind=kind, code=code), attempt=attempt)


def dead_job(folder, *letters, name="job", rows=None, base_url="http://127.0.0.1:8000/v1"):
    """A job whose rows died as told: (code, {kind, status, message, reply})."""
    with store_in(folder) as database:
        of = rows or [Row(f"r{n}", body=b'{"model": "m", "n": %d}' % n) for n in range(len(letters))]
        job = submit_rows(database, of, name=name, base_url=base_url)
        holder = holder_of(database)
        left = iter(letters)
        while claims := holder.claim(job, most=len(of)).claims:
            ends = zip(claims, left, strict=False)
            holder.settle(*(died(claim, code, **told) for claim, (code, told) in ends))
        assert next(left, None) is None
        return job


def summed(*args):
    return batcher("dlq", "summary", "--json", *args).json


def causes(*args):
    return {cause["code"]: cause for cause in summed(*args)["data"]}


def test_six_thousand_letters_are_grouped_by_their_five_causes(folder):
    def letter(n):
        code = list(CAUSES)[n % 5]
        kind, status, message = CAUSES[code]
        said = message.format(limit=8192, tokens=8193 + n)
        return code, {"kind": kind, "status": status, "message": said, "reply": b'{"error": {}}'}

    dead_job(folder, *(letter(n) for n in range(6_000)))
    found = summed()
    assert found["total"] == 6_000
    assert {cause["code"]: cause["count"] for cause in found["data"]} == dict.fromkeys(CAUSES, 1_200)
    by_code = {cause["code"]: cause for cause in found["data"]}
    longest = 8193 + 5_995
    assert by_code["context_length_exceeded"]["tokens"]["longest"] == longest
    assert by_code["context_length_exceeded"]["advice"].startswith(f"longest {longest:,} tokens, limit 8,192: ")
    for code, says in (
        ("content_filter", "Reword"),
        ("timeout", "--timeout"),
        ("model_not_found", "Give the key access"),
        ("server_error", "recovered"),
    ):
        assert says in by_code[code]["advice"]
        assert f"batcher dlq retry --code {code}" in by_code[code]["advice"]
    batcher("dlq", "retry", "--code", "timeout")
    rest = dict.fromkeys(set(CAUSES) - {"timeout"}, 1_200)
    assert {cause["code"]: cause["count"] for cause in summed()["data"]} == rest


def test_a_cause_has_the_keys_of_the_contract(folder):
    dead_job(folder, ("bad", {"message": "it was bad"}), ("bad", {"message": "worse"}))
    (cause,) = summed()["data"]
    assert cause == {
        "code": "bad",
        "kind": "permanent",
        "status": 400,
        "count": 2,
        "sent": 2,
        "example": {"request": 1, "job": 1, "line": 1, "custom_id": "r0", "message": "it was bad"},
        "models": ["m"],
        "endpoints": ["http://127.0.0.1:8000/v1"],
        "urls": ["/v1/chat/completions"],
        "tokens": None,
        "advice": cause["advice"],
    }


def test_rows_that_died_with_another_are_counted_and_were_not_sent(folder):
    with store_in(folder) as database:
        job = submit_rows(database, [Row("lead", b"{}"), Row("follow", b"{}"), Row("alone")])
        holder = holder_of(database)
        holder.settle(*(died(claim, "bad") for claim in holder.claim(job).claims))
    (cause,) = summed()["data"]
    assert (cause["count"], cause["sent"]) == (3, 2)


def test_models_and_endpoints_touched_are_named_once(folder):
    rows = [Row("a", model="x"), Row("b", model="y"), Row("c", model="x", path="/v1/responses")]
    dead_job(folder, *[("bad", {})] * 3, rows=rows)
    dead_job(folder, ("bad", {}), name="other", base_url="http://127.0.0.1:9/v1")
    (cause,) = summed()["data"]
    assert cause["models"] == ["m", "x", "y"]
    assert cause["endpoints"] == ["http://127.0.0.1:8000/v1", "http://127.0.0.1:9/v1"]
    assert cause["urls"] == ["/v1/chat/completions", "/v1/responses"]
    assert cause["count"] == 4


def test_the_most_frequent_cause_comes_first(folder):
    dead_job(folder, ("rare", {}), ("often", {}), ("often", {}), ("late", {}))
    assert [cause["code"] for cause in summed()["data"]] == ["often", "rare", "late"]


def test_a_summary_of_one_job_advises_about_that_job(folder):
    dead_job(folder, ("bad", {}), ("bad", {}))
    dead_job(folder, ("bad", {}), name="other")
    (cause,) = summed("--job", "other")["data"]
    assert cause["count"] == 1
    assert "batcher dlq list --job 2 --code bad" in cause["advice"]


def test_the_advice_means_its_own_cause_where_others_have_the_same_code(folder):
    dead_job(
        folder,
        ("odd", {"kind": "transient", "status": 500}),
        ("odd", {"kind": "transient", "status": 502}),
        ("odd", {"kind": "permanent", "status": 500}),
        ("own", {}),
    )
    told = {(each["code"], each["kind"], each["status"]): each["advice"] for each in summed()["data"]}
    assert "--code odd --kind transient --status 500" in told["odd", "transient", 500]
    assert "--code odd --kind transient --status 502" in told["odd", "transient", 502]
    assert "--code odd --kind permanent --status 500" in told["odd", "permanent", 500]
    assert "--code own --set" in told["own", "permanent", 400]


def test_several_limits_are_said_as_a_range(folder):
    told = [TOO_LONG.format(limit=limit, tokens=tokens) for limit, tokens in ((4096, 5000), (8192, 9310))]
    dead_job(folder, *(("context_length_exceeded", {"message": message}) for message in told))
    cause = causes()["context_length_exceeded"]
    assert cause["tokens"] == {"longest": 9310, "least_limit": 4096, "most_limit": 8192}
    assert cause["advice"].startswith("longest 9,310 tokens, limit 4,096 to 8,192: ")


def test_figures_that_stand_in_the_reply_alone_are_found(folder):
    reply = b'{"error": {"code": 400, "message": "too long", "n_prompt_tokens": 9310, "n_ctx": 8192}}'
    dead_job(folder, ("context_length_exceeded", {"message": "too long", "reply": reply}))
    assert causes()["context_length_exceeded"]["advice"].startswith("longest 9,310 tokens, limit 8,192: ")


def test_for_people_each_cause_has_its_line_an_example_and_the_command(folder):
    told = TOO_LONG.format(limit=8192, tokens=9310)
    dead_job(folder, *[("context_length_exceeded", {"message": told})] * 3)
    out = batcher("dlq", "summary").out.splitlines()
    assert out[0].startswith(
        "3 dead letters: context_length_exceeded: longest 9,310 tokens, limit 8,192: shorten them"
    )
    assert out[0].endswith("`batcher dlq retry --code context_length_exceeded --set model=MODEL`")
    assert out[1] == "  permanent, HTTP 400; 3 of 3 sent"
    assert out[2] == "  m at http://127.0.0.1:8000/v1 (/v1/chat/completions)"
    assert out[3] == f"  for example request 1 (job 1, line 1, r0): {told}"
    assert out[-1] == "3 dead letters of 1 cause"


def test_what_moves_a_terminal_is_shown_as_text(folder):
    dead_job(folder, ("\x1b]0;t\x07", {"message": "\x1b[2J"}))
    assert "\x1b" not in batcher("dlq", "summary").out


@pytest.mark.parametrize("with_store", [True, False])
def test_without_dead_letters_it_says_so(folder, with_store):
    if with_store:
        with store_in(folder):
            pass
    assert summed() == {"data": [], "total": 0}
    called = batcher("dlq", "summary")
    assert (called.code, called.out) == (0, "there are no dead letters\n")
    assert with_store or list(folder.iterdir()) == []
