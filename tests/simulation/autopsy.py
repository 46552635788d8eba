"""Explains dead letters: each must follow from what the provider did to the row."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from batcher.policy.retry.decide import MOST_QUEUED
from batcher.policy.retry.failure_run import HOLD_AFTER, HOLD_AFTER_BLOCK_AND_ANSWERS
from batcher.policy.retry.refusals import MOST_ALONE
from batcher.store.queue.runners import WORKER_LOST_AFTER
from tests.simulation.laws import Row
from tests.simulation.process import Process
from tests.simulation.provider import SPENDING, Arrival
from tests.simulation.scenario import NO_BACKEND, UNDECIDED, Fate
from tests.simulation.watcher import require

if TYPE_CHECKING:
    from tests.simulation.world import World

MOST_ATTEMPTS = 6
#: Refusals of one row that no other send of it can show to be about the key.
_ALONE = frozenset({Fate.FORBIDDEN_ROW, Fate.UNKNOWN_ROW, Fate.BAD_REQUEST})
#: How often a row is tried whose address is not there, after a pause for that was resumed.
FEW_TIMES = 3
#: How often a cause is retried, if less often than `max_attempts`.
FEWER = {
    Fate.NO_CHOICES: 2,
    Fate.TIMEOUT: 2,
    Fate.BAD_KEY: 3,
    Fate.NO_CREDIT: 3,
    Fate.KEY_ROW: 3,
}


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

    def is_pause_explained(self, process: Process) -> None:
        """I16: a few rows that are refused alone pause nothing where others were answered."""
        ((reason,),) = self._world.watcher.ask("SELECT reason FROM pauses ORDER BY id DESC LIMIT 1")
        there = self._world.watcher.rows()
        told = [each for each in self._world.provider.journal if each.told and each.request in there]
        failed = [each for each in told if each.process is process and each.fate in UNDECIDED]
        if reason not in {"credentials", "model", "same_failure"} or not {each.fate for each in failed} <= _ALONE:
            return
        answered = {self._route(each) for each in told if each.fate is Fate.ANSWER}
        rows = {each.request for each in failed}
        is_shared = (
            len(rows) >= HOLD_AFTER_BLOCK_AND_ANSWERS or not {self._route(each) for each in failed} <= answered
        )
        require(is_shared, "I16 a row that is refused alone pauses nothing", reason, failed)

    def _route(self, arrival: Arrival) -> tuple[int, str]:
        return self._world.watcher.rows()[arrival.request].job, arrival.model

    def _explanations(self) -> dict[str, Callable[[Row], bool]]:
        return {
            "bad_thing": lambda row: self._fates(row)[Fate.BAD_REQUEST] > 0,
            "blocked_by_policy": lambda row: self._fates(row)[Fate.FORBIDDEN_ROW] > 0,
            "prompt_not_found": lambda row: self._fates(row)[Fate.UNKNOWN_ROW] > 0,
            "unsupported_parameter": self._is_of_one_row_or_confirmed,
            "timeout": self._has_timed_out,
            "refused_too_often": lambda row: self._fates(row)[Fate.REFUSED] >= MOST_ALONE,
            "worker_lost": lambda row: row.lost >= WORKER_LOST_AFTER and self._kills(row) >= WORKER_LOST_AFTER,
        }

    def _is_used_up(self, row: Row) -> bool:
        spent = self.spending(row)
        # A route that never answered pauses for it; once that is resumed it counts as one that is not offered.
        paused = self._world.watcher.ask("SELECT 1 FROM pauses WHERE instr(failure, ?)", row.code)
        is_none_there = bool(spent) and all(each.fate in NO_BACKEND for each in spent)
        require(bool(paused) or not is_none_there, "I17 a gateway without a backend spends no row", row, spent)
        last = spent[-1].fate if spent else Fate.ANSWER
        if last in NO_BACKEND and sum(each.fate in NO_BACKEND for each in spent) >= FEW_TIMES:
            return True
        return len(spent) >= FEWER.get(last, MOST_ATTEMPTS)

    def _has_timed_out(self, row: Row) -> bool:
        """I17: timeouts in a queue at the server, while others were answered, cost a row only after some."""
        told = [each for each in self._world.watcher.since[row.id] if each.told]
        late = [each for each in told if each.fate in {Fate.TIMEOUT, Fate.QUEUED}]
        queued = [each for each in late if each.fate is Fate.QUEUED and self._answered_beside(each)]
        ((before,),) = self._world.watcher.ask("SELECT sends_before FROM requests WHERE id = ?", row.id)
        spared = row.sends - before - row.spent - row.lost
        is_lawful = len(late) - len(queued) >= FEWER[Fate.TIMEOUT] or spared > MOST_QUEUED
        require(is_lawful, "I17 a queue at the server spends no row", row, told)
        return len(late) >= FEWER[Fate.TIMEOUT]

    def _answered_beside(self, late: Arrival) -> bool:
        """Return whether its process was answered by the same model while it waited."""
        return any(
            each.told
            and (each.process, each.model) == (late.process, late.model)
            and each.fate in {Fate.ANSWER, Fate.SLOW}
            and late.at < each.told_at < late.told_at
            for each in self._world.provider.journal
        )

    def _is_of_one_row_or_confirmed(self, row: Row) -> bool:
        """I17: what is refused for all costs no row before a person has confirmed it, unless few rows show it."""
        if self._fates(row)[Fate.SAME_FOR_ALL] == 0:
            return False
        confirmed = "SELECT 1 FROM pauses WHERE scope = 'route' AND failure LIKE '%unsupported_parameter%'"
        alike = [
            each
            for each in self._world.watcher.rows().values()
            if (each.job, each.code, each.state) == (row.job, row.code, "dead_lettered") and each.leader is None
        ]
        told = [each for each in self._world.provider.journal if each.told and each.fate is Fate.SAME_FOR_ALL]
        few = HOLD_AFTER * len({each.process for each in told})
        # On a route that has answered, fewer than twenty in a row are their own fault.
        answered = any(
            each.told and each.fate in {Fate.ANSWER, Fate.SLOW} and self._route(each)[0] == row.job
            for each in self._world.provider.journal
            if each.model == self._world.scenario.broken_model
        )
        is_lawful = answered or len(alike) < few or bool(self._world.watcher.ask(confirmed))
        require(is_lawful, "I17 what is refused for all spends no row", row, alike)
        return True

    def _fates(self, row: Row) -> dict[Fate, int]:
        since = [each for each in self._world.watcher.since[row.id] if each.told]
        return {fate: sum(each.fate is fate for each in since) for fate in Fate}

    def _kills(self, row: Row) -> int:
        return self._world.watcher.kills
