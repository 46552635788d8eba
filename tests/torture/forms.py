"""How long the torture takes: a short form within the suite, a long one by `make torture`."""

import os
import random
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Form:
    """Sizes of the kill test, and how often each other fault is repeated."""

    rows: int
    kills: int
    times: int
    #: Seconds of a reply: such that the rows outlast the kills.
    latency: float
    #: Rows of the jobs that are submitted, cancelled and deleted beside.
    side_rows: int


IS_LONG = os.environ.get("TORTURE") == "long"
FORM = (
    Form(rows=5_000, kills=200, times=5, latency=0.3, side_rows=6_000)
    if IS_LONG
    else Form(rows=1_500, kills=20, times=1, latency=0.15, side_rows=2_500)
)
#: Printed by a test that fails; TORTURE_SEED=N repeats its draws.
SEED = int(os.environ.get("TORTURE_SEED", "1"))
CONCURRENCY = 32

in_the_long_form = pytest.mark.skipif(not IS_LONG, reason="in the long form: `make torture`")
patient = pytest.mark.timeout(3_600 if IS_LONG else 180)


def draws(name: str) -> random.Random:
    """The draws of one test, the same for the same seed."""
    return random.Random(f"{SEED} {name}")
