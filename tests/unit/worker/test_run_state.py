"""Since when a lane is silent: a long wait that the provider named counts from its end."""

import pytest

from batcher.worker.run_state import Lane


def lane(failing_since: float | None, named_wait: tuple[float, float]) -> Lane:
    made = Lane.__new__(Lane)
    made.failing_since, made.named_wait = failing_since, named_wait
    return made


@pytest.mark.parametrize(
    ("failing_since", "named_wait", "since"),
    [
        (None, (500.0, 400.0), None),
        (100.0, (float("-inf"), 0.0), 100.0),
        (100.0, (101.0, 1.0), 100.0),
        (100.0, (124.0, 24.0), 100.0),
        (100.0, (125.0, 25.0), 125.0),
        (100.0, (7300.0, 7200.0), 7300.0),
        (100.0, (50.0, 40.0), 100.0),
    ],
)
def test_since_when_it_is_silent(failing_since, named_wait, since):
    assert lane(failing_since, named_wait).silent_since(100.0) == since
