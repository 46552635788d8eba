"""Requested and random faults: which sending of a body gets which fault."""

import json
from typing import Any

import pytest

from batcher.simulate.bodies import read_body
from batcher.simulate.faults import Direction, Fault, Manner, changed, direction_of, drawn_fault, fault_of
from batcher.simulate.problems import Problem

CHAT = "/v1/chat/completions"


def asked(simulate: object) -> Direction | Problem:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "metadata": {"simulate": simulate}}
    read = read_body(CHAT, json.dumps(body).encode())
    assert not isinstance(read, Problem)
    return direction_of(read)


def fates(simulate: dict[str, Any], count: int) -> list[Fault]:
    direction = asked(simulate)
    assert isinstance(direction, Direction)
    return [fault_of(direction, seen) for seen in range(count)]


def statuses(simulate: dict[str, Any], count: int) -> list[int]:
    return [fate.problem.status if fate.problem else fate.page or 200 for fate in fates(simulate, count)]


@pytest.mark.parametrize(
    ("simulate", "expected"),
    [
        ({"status": 500}, [500, 500, 500, 500]),
        ({"status": 500, "fail_times": 2}, [500, 500, 200, 200]),
        ({"fail_times": 1}, [500, 200, 200, 200]),
        ({"fail_times": 0}, [200, 200, 200, 200]),
        ({"refuse_times": 2}, [429, 429, 200, 200]),
        ({"refuse_times": 1, "fail_times": 1, "status": 503}, [429, 503, 200, 200]),
        ({"refuse_times": 1, "status": 400}, [429, 400, 400, 400]),
        ({"html": 502, "fail_times": 1}, [502, 200, 200, 200]),
        ({"hang": 3}, [200, 200, 200, 200]),
        ({"finish_reason": "length", "fail_times": 1}, [200, 200, 200, 200]),
    ],
)
def test_a_direction_says_what_becomes_of_each_sending(simulate: dict[str, Any], expected: list[int]) -> None:
    assert statuses(simulate, 4) == expected


@pytest.mark.parametrize(
    ("simulate", "status", "kind", "code"),
    [
        ({"code": "context_length_exceeded"}, 400, "invalid_request_error", "context_length_exceeded"),
        ({"code": "insufficient_quota"}, 429, "insufficient_quota", "insufficient_quota"),
        ({"code": "insufficient_quota", "status": 403}, 403, "insufficient_quota", "insufficient_quota"),
        ({"code": "made_up"}, 400, "invalid_request_error", "made_up"),
        ({"code": "made_up", "status": 422}, 422, "invalid_request_error", "made_up"),
        ({"status": 401}, 401, "invalid_request_error", "invalid_api_key"),
        ({"status": 429}, 429, "requests", "rate_limit_exceeded"),
        ({"status": 503}, 503, "service_unavailable_error", None),
        ({"status": 529}, 529, "server_error", None),
        ({"status": 409}, 409, "invalid_request_error", None),
    ],
)
def test_status_and_code_imply_each_other(
    simulate: dict[str, Any], status: int, kind: str, code: str | None
) -> None:
    problem = fates(simulate, 1)[0].problem
    assert problem is not None
    assert (problem.status, problem.kind, problem.code) == (status, kind, code)


def test_words_and_waits_of_a_direction_reach_the_reply() -> None:
    problem = fates({"refuse_times": 1, "retry_after": 1.5, "message": "busy"}, 1)[0].problem
    assert problem is not None
    assert problem.message == "busy"
    assert problem.headers == {"retry-after": "2", "retry-after-ms": "1500"}


@pytest.mark.parametrize(
    ("simulate", "manners"),
    [
        ({"reset": True, "fail_times": 1}, [Manner.RESET, Manner.WHOLE]),
        ({"cut": True}, [Manner.CUT, Manner.CUT]),
    ],
)
def test_connections_break_as_often_as_asked(simulate: dict[str, Any], manners: list[Manner]) -> None:
    assert [fate.manner for fate in fates(simulate, 2)] == manners


def test_a_hang_comes_before_whatever_happens() -> None:
    assert [fate.hang for fate in fates({"hang": 3, "status": 500, "fail_times": 1}, 2)] == [3, 3]


@pytest.mark.parametrize("simulate", [{"states": 500}, {"status": 200}, {"fail_times": -1}, "fail", {"hang": "1"}])
def test_a_direction_that_is_not_understood_is_a_400_that_lists_the_words(simulate: object) -> None:
    problem = asked(simulate)
    assert isinstance(problem, Problem)
    assert problem.status == 400
    assert "fail_times" in problem.message


def test_metadata_without_directions_asks_for_nothing() -> None:
    raw = b'{"model": "m", "input": "x", "metadata": {"team": "a"}}'
    read = read_body("/v1/responses", raw)
    assert not isinstance(read, Problem)
    assert direction_of(read) == Direction()


def test_changes_fit_the_shape_of_the_answer() -> None:
    chat = {"object": "chat.completion", "choices": [{"index": 0, "finish_reason": "stop"}]}
    response = {"object": "response", "status": "completed", "output": [1]}
    reason = Fault(finish_reason="content_filter")
    assert changed(reason, chat)["choices"][0]["finish_reason"] == "content_filter"
    assert changed(reason, response)["incomplete_details"] == {"reason": "content_filter"}
    assert changed(Fault(no_choices=True), chat)["choices"] == []
    assert changed(Fault(no_choices=True), response)["output"] == []
    assert "error" in changed(Fault(error_in_200=True), chat)
    assert changed(Fault(), chat) is chat


def test_drawn_failures_come_at_their_share_and_are_the_same_in_every_run() -> None:
    def draw() -> list[Fault]:
        return [drawn_fault(0.2, 1, b"body%d" % number, 0) for number in range(2000)]

    failed = [fault for fault in draw() if fault != Fault()]
    assert 320 <= len(failed) <= 480
    assert draw() == draw()
    found = {fault.problem.status if fault.problem else fault.page for fault in failed}
    assert found == {500, 502, 503}


def test_a_random_failure_is_drawn_again_for_the_next_sending() -> None:
    fate = [drawn_fault(0.5, 1, b"body", seen) == Fault() for seen in range(40)]
    assert 8 < sum(fate) < 32


@pytest.mark.parametrize(("share", "failing"), [(0.0, False), (1.0, True)])
def test_a_share_of_none_or_all_is_exact(share: float, failing: bool) -> None:
    assert all((drawn_fault(share, 1, b"%d" % n, 0) != Fault()) is failing for n in range(100))
