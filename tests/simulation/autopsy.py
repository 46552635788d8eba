"""Explains dead letters: each must follow from what the provider did to the row."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from batcher.policy.retry.refusals import MOST_ALONE
from batcher.store.queue.runners import WORKER_LOST_AFTER
from tests.simulation.laws import Row
from tests.simulation.provider import SPENDING, Arrival
from tests.simulation.scenario import Fate
from tests.simulation.watcher import require

if TYPE_CHECKING:
    from tests.simulation.world import World

#: How often a cause is retried, if less often than `max_attempts`.
FEWER = {Fate.NO_CHOICES: 2, Fate.TIMEOUT: 2}
MOST_ATTEMPTS = 6


class Autopsy:
    """Explains dead letters from the provider's journal."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def spending(self, row: Row) -> list[Arrival]:
        """Return the replies to a row since its last redrive that may cost an attempt."""
        return [each for each in self._world.watcher.since[row.id] if each.told and each.fate in SPENDING]

    def is_explained(self, row: Row) -> None:
        """Raise Broken if a row is a dead letter that should not be one."""
        leader = None if row.leader is None else self._world.watcher.rows()[row.leader]
        if leader is not None and leader.state == "dead_lettered":
            require(row.code == leader.code, "a follower dies of what its leader died of", row, leader)
            return
        explained = self._explanations().get(row.code or "", self._is_used_up)
        require(explained(row), "no healthy row is dead-lettered", row, self._world.watcher.since[row.id])

    def _explanations(self) -> dict[str, Callable[[Row], bool]]:
        return {
            "bad_thing": lambda row: self._fates(row)[Fate.BAD_REQUEST] > 0,
            "timeout": lambda row: self._fates(row)[Fate.TIMEOUT] >= FEWER[Fate.TIMEOUT],
            "refused_too_often": lambda row: self._fates(row)[Fate.REFUSED] >= MOST_ALONE,
            "worker_lost": lambda row: row.lost >= WORKER_LOST_AFTER and self._kills(row) >= WORKER_LOST_AFTER,
        }

    def _is_used_up(self, row: Row) -> bool:
        spent = self.spending(row)
        last = spent[-1].fate if spent else Fate.ANSWER
        return len(spent) >= FEWER.get(last, MOST_ATTEMPTS)

    def _fates(self, row: Row) -> dict[Fate, int]:
        since = [each for each in self._world.watcher.since[row.id] if each.told]
        return {fate: sum(each.fate is fate for each in since) for fate in Fate}

    def _kills(self, row: Row) -> int:
        return self._world.watcher.kills
