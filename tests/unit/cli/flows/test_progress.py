"""What the live line says of the lanes."""

import re

import pytest

from batcher.cli.flows.progress import describe_binding, facts, time_left, waiting
from batcher.domain.events import BreakerChanged, DrainStarted, LaneCooling
from batcher.domain.ids import EndpointId
from batcher.domain.lanes import LaneKey, LaneView
from batcher.domain.states import LimitSource
from batcher.services.monitor.run_view import RunView

NOW = 1_000_000_000


def view(binding, utilization=None, *, model="m", cooling_until=None):
    return LaneView(
        key=LaneKey(endpoint_id=EndpointId(1), key_name="K", model=model),
        rpm=None,
        tpm=None,
        source=LimitSource.GIVEN,
        binding=binding,
        utilization=utilization,
        in_flight=0,
        cooling_until=cooling_until,
    )


@pytest.mark.parametrize(
    ("views", "said"),
    [
        ([], None),
        ([view("rpm", 0.98)], "at rpm 98%"),
        ([view("input", 0.2)], "at input 20%"),
        ([view("input")], "at input"),
        ([view("day", 0.5, cooling_until=NOW + 7_200_000_000)], "at day for 2 h 0 min"),
        ([view("provider", 0.5, cooling_until=NOW - 1)], "at provider 50%"),
        ([view("rpm", 0.3, model="a"), view("tpm", 0.9, model="b")], "2 lanes, b at tpm 90%"),
        ([view("input", 0.9, model="a"), view("rpm", 0.3, model="b")], "2 lanes, b at rpm 30%"),
        ([view("rpm", 0.9, model="a\x1b[2J")] * 2, r"2 lanes, a\x1b[2J at rpm 90%"),
    ],
)
def test_the_line_names_what_binds_and_how_much_of_it_is_used(views, said):
    assert describe_binding(views, NOW) == said


@pytest.mark.parametrize(
    ("seconds", "named", "said"),
    [
        (2, False, r"cooling down for 2 s, our own wait \(rate_limit_exceeded\)"),
        (20, True, r"cooling down for 20 s, as the provider says \(rate_limit_exceeded\)"),
        (86_400, True, r"cooling down until \w{3} \d\d:\d\d, as the provider says: Come back tomorrow\."),
        (-1, True, "None"),
    ],
)
def test_a_wait_says_whose_it_is_and_a_long_one_until_when(seconds, named, said):
    cooling = LaneCooling(
        lane=view("rpm").key,
        until=NOW + seconds * 1_000_000,
        code="rate_limit_exceeded",
        message="Come back tomorrow.",
        named=named,
    )
    assert re.fullmatch(said, str(waiting(RunView(at=NOW, total=1, cooling=cooling))))


def drain(*, deadline: float | None, handing_over: bool = False) -> DrainStarted:
    return DrainStarted(in_flight=7, deadline=deadline, handing_over=handing_over)


OUTAGE = BreakerChanged(
    endpoint_id=EndpointId(1), endpoint="http://a/v1", open=True, since=NOW, message="connection refused"
)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({}, None),
        ({"outage": OUTAGE}, "outage of http://a/v1: connection refused"),
        (
            {"outage": OUTAGE, "drain": drain(deadline=None)},
            "for 3 in flight to finish, 4 s so far; Ctrl-C stops at once",
        ),
        ({"drain": drain(deadline=25.0)}, "for 3 in flight to finish, at most 21 s more; Ctrl-C stops at once"),
        (
            {"drain": drain(deadline=25.0, handing_over=True)},
            "for 7 in flight of jobs that others handed over, at most 21 s more; Ctrl-C stops at once",
        ),
    ],
)
def test_what_holds_requests_back_is_named_the_most_important_first(seen, said):
    assert waiting(RunView(at=NOW, total=9, in_flight=3, draining_seconds=4.0, **seen)) == said


def test_a_drain_with_nothing_in_flight_waits_for_nothing():
    seen = RunView(at=NOW, total=9, draining_seconds=4.0, drain=drain(deadline=25.0))
    assert waiting(seen) == "nothing is in flight; the run ends"


def test_the_line_has_the_counts_and_rates_and_the_time_left():
    shown = RunView(
        at=NOW,
        total=2_000,
        answered=1_234,
        dead_letters=2,
        cached=30,
        in_flight=8,
        requests_per_minute=499.6,
        tokens_per_minute=81_234.0,
        seconds_left=92.0,
        lanes=[view("rpm", 0.98)],
    )
    assert facts(shown) == [
        "1,234 answered",
        "2 dead letters",
        "30 cached",
        "8 in flight",
        "500 rpm",
        "81,234 tpm",
        "at rpm 98%",
    ]
    assert time_left(shown) == ["1 min 32 s left"]
    assert time_left(RunView(at=NOW, total=2_000)) == []
