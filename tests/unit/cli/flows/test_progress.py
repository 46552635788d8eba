"""What the live line says of the lanes."""

import re

import pytest

from batcher.cli.flows.progress import RunProgress, describe_binding
from batcher.domain.events import LaneCooling
from batcher.domain.ids import EndpointId
from batcher.domain.lanes import LaneKey, LaneView
from batcher.domain.states import LimitSource
from batcher.services.monitor.totals import Totals

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


NOTHING = Totals(completed=0, dead_lettered=0, cached=0, attempts=0, tokens=0, in_flight=0)


class _Clock:
    def now(self) -> int:
        return NOW


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
    progress = RunProgress(_Clock(), title="t", jobs=[], total=1, totals=NOTHING)
    cooling = LaneCooling(
        lane=view("rpm").key,
        until=NOW + seconds * 1_000_000,
        code="rate_limit_exceeded",
        message="Come back tomorrow.",
        named=named,
    )
    progress.emit(cooling)
    assert re.fullmatch(said, str(progress.waiting()))
