"""How many connections the descriptors of a process allow."""

import resource
from pathlib import Path

import pytest

from batcher.services.runs.descriptors import most_connections, raise_limit


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The limits of a process, which refuses what its system refuses."""
    now = {"soft": 64, "hard": 4096, "most": 1 << 30}

    def change(_: int, pair: tuple[int, int]) -> None:
        if pair[0] > now["most"]:
            raise ValueError("not allowed to raise maximum limit")
        now["soft"] = pair[0]

    monkeypatch.setattr(resource, "getrlimit", lambda _: (now["soft"], now["hard"]))
    monkeypatch.setattr(resource, "setrlimit", change)
    return now


def test_the_soft_limit_becomes_the_hard_one(limits: dict[str, int]) -> None:
    assert raise_limit() == limits["soft"] == 4096
    assert raise_limit() == 4096


def test_where_the_hard_limit_is_refused_a_smaller_one_is_taken(limits: dict[str, int]) -> None:
    limits.update(hard=resource.RLIM_INFINITY, most=20_000)
    assert raise_limit() == limits["soft"] == 10_240


def test_a_limit_that_cannot_be_raised_stays(limits: dict[str, int]) -> None:
    limits.update(most=0)
    assert raise_limit() == 64


def test_without_a_limit_none_is_set(limits: dict[str, int]) -> None:
    limits.update(soft=resource.RLIM_INFINITY, hard=resource.RLIM_INFINITY)
    assert raise_limit() > 100_000
    assert limits["soft"] == resource.RLIM_INFINITY


@pytest.mark.parametrize("hard", [1, 20, 64, 1024])
def test_some_are_kept_for_the_store(limits: dict[str, int], hard: int) -> None:
    limits.update(soft=1, hard=hard)
    open_now = len([*Path("/proc/self/fd").iterdir()])
    assert 1 <= most_connections() <= max(1, hard - open_now)
    assert most_connections() <= max(1, hard - open_now - 32, (hard - open_now + 1) // 2)
